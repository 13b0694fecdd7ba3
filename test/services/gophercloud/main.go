// A session with Coffer through gophercloud, unmodified: what its db/v1 packages and Terraform's provider do.
// It logs in by clouds.yaml, exits with 1 and the reason at the first unexpected answer, and prints
// the statuses that an instance had in turn, as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/db/v1/databases"
	"github.com/gophercloud/gophercloud/v2/openstack/db/v1/datastores"
	"github.com/gophercloud/gophercloud/v2/openstack/db/v1/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/db/v1/instances"
	"github.com/gophercloud/gophercloud/v2/openstack/db/v1/users"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

const (
	rows  = 25 // more than one page of 20
	limit = 2 * time.Minute
)

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func expect(what string, holds bool, actual any) {
	if !holds {
		check(fmt.Errorf("%s: saw %v", what, actual))
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	login, endpoint, tls, err := clouds.Parse()
	check(err)
	provider := must(config.NewProviderClient(ctx, login, config.WithTLSConfig(tls)))
	client := must(openstack.NewDBV1(provider, endpoint))

	checkCatalogues(ctx, client)
	statuses := map[string][]string{}
	id := createInstance(ctx, client, statuses)
	pageDatabases(ctx, client, id)
	pageUsers(ctx, client, id)
	pageInstances(ctx, client, id)
	enableRoot(ctx, client, id)
	runActions(ctx, client, id, statuses)
	checkErrors(ctx, client, id)
	check(instances.Delete(ctx, client, id).ExtractErr())
	statuses["delete"] = untilGone(ctx, client, id)
	check(json.NewEncoder(os.Stdout).Encode(statuses))
}

func checkCatalogues(ctx context.Context, client *gophercloud.ServiceClient) {
	list := must(flavors.ExtractFlavors(must(flavors.List(client).AllPages(ctx))))
	first := must(flavors.Get(ctx, client, "1").Extract())
	expect("flavor", len(list) > 1 && first.Name == "db.tiny" && first.RAM == 512 && first.StrID == "1", first)
	stores := must(datastores.ExtractDatastores(must(datastores.List(client).AllPages(ctx))))
	store := must(datastores.Get(ctx, client, stores[0].ID).Extract())
	expect("datastore", store.Name == "postgresql" && store.DefaultVersion != "", store)
	versions := must(datastores.ExtractVersions(must(datastores.ListVersions(client, store.ID).AllPages(ctx))))
	version := must(datastores.GetVersion(ctx, client, store.ID, store.DefaultVersion).Extract())
	expect("version", len(versions) > 1 && version.Name == "18", version)
}

// createInstance waits as Terraform does: pending BUILD, target ACTIVE or HEALTHY, anything else aborts.
func createInstance(ctx context.Context, client *gophercloud.ServiceClient, statuses map[string][]string) string {
	cart := databases.BatchCreateOpts{{Name: "cart", CharSet: "utf8"}}
	created := must(instances.Create(ctx, client, instances.CreateOpts{
		Name: "go", FlavorRef: "1", Size: 1, Databases: cart,
		Users:     users.BatchCreateOpts{{Name: "ann", Password: "pw1", Databases: cart}},
		Datastore: &instances.DatastoreOpts{Type: "postgresql", Version: "18"},
	}).Extract())
	expect("created", created.Status == "BUILD" && !created.Created.IsZero(), created)
	statuses["create"] = untilStatus(ctx, client, created.ID, []string{"BUILD"}, []string{"ACTIVE", "HEALTHY"})
	instance := must(instances.Get(ctx, client, created.ID).Extract())
	expect("instance", instance.Name == "go" && instance.Flavor.ID == "1" && instance.Volume.Size == 1 &&
		instance.Datastore.Type == "postgresql" && len(instance.IP) == 1 && len(instance.Addresses) == 1, instance)
	return created.ID
}

func pageDatabases(ctx context.Context, client *gophercloud.ServiceClient, id string) {
	requested := databases.BatchCreateOpts{}
	for n := range rows {
		requested = append(requested, databases.CreateOpts{Name: fmt.Sprintf("db-%02d", n)})
	}
	check(databases.Create(ctx, client, id, requested).ExtractErr())
	names := func() []string {
		list := []string{}
		pages := 0
		check(databases.List(client, id).EachPage(ctx, func(_ context.Context, page pagination.Page) (bool, error) {
			pages++
			for _, one := range must(databases.ExtractDBs(page)) {
				list = append(list, one.Name)
			}
			return true, nil
		}))
		expect("pages of databases", (len(list) > 20) == (pages == 2), pages)
		return list
	}
	await(ctx, "all databases", func() bool { return len(names()) == rows+1 })
	check(databases.Delete(ctx, client, id, "db-07").ExtractErr())
	await(ctx, "one database less", func() bool {
		list := names()
		return len(list) == rows && !slices.Contains(list, "db-07") && slices.Contains(list, "db-24")
	})
}

func pageUsers(ctx context.Context, client *gophercloud.ServiceClient, id string) {
	requested := users.BatchCreateOpts{}
	for n := range rows {
		grants := databases.BatchCreateOpts{{Name: "cart"}}
		requested = append(requested, users.CreateOpts{Name: fmt.Sprintf("user-%02d", n), Password: "pw", Databases: grants})
	}
	check(users.Create(ctx, client, id, requested).ExtractErr())
	list := func() []users.User {
		return must(users.ExtractUsers(must(users.List(client, id).AllPages(ctx))))
	}
	await(ctx, "all users with their grants", func() bool {
		return len(list()) == rows+1 && !slices.ContainsFunc(list(), func(one users.User) bool { return len(one.Databases) != 1 })
	})
	check(users.Delete(ctx, client, id, "user-07").ExtractErr())
	await(ctx, "one user less", func() bool { return len(list()) == rows })
}

// pageInstances follows instances_links with pages of one row: the list of the library has no limit, and twenty
// more databases would prove nothing else.
func pageInstances(ctx context.Context, client *gophercloud.ServiceClient, id string) {
	second := must(instances.Create(ctx, client, instances.CreateOpts{Name: "second", FlavorRef: "1", Size: 1}).Extract())
	pager := instances.List(client)
	single := pagination.NewPager(client, client.ServiceURL("instances")+"?limit=1", func(r pagination.PageResult) pagination.Page {
		return instances.InstancePage{LinkedPageBase: pagination.LinkedPageBase{PageResult: r}}
	})
	expected := []string{id, second.ID}
	slices.Sort(expected)
	for pages, list := range map[int]pagination.Pager{1: pager, len(expected): single} {
		listed := []string{}
		check(list.EachPage(ctx, func(_ context.Context, page pagination.Page) (bool, error) {
			pages--
			for _, row := range must(instances.ExtractInstances(page)) {
				listed = append(listed, row.ID)
			}
			return true, nil
		}))
		slices.Sort(listed)
		expect("instances by pages", pages == 0 && slices.Equal(expected, listed), listed)
	}
	check(instances.Delete(ctx, client, second.ID).ExtractErr())
	untilGone(ctx, client, second.ID)
}

func enableRoot(ctx context.Context, client *gophercloud.ServiceClient, id string) {
	expect("root before", !must(instances.IsRootEnabled(ctx, client, id).Extract()), true)
	root := must(instances.EnableRootUser(ctx, client, id).Extract())
	expect("root", root.Name == "root" && len(root.Password) == 36, root.Name)
	expect("root after", must(instances.IsRootEnabled(ctx, client, id).Extract()), false)
}

func runActions(ctx context.Context, client *gophercloud.ServiceClient, id string, statuses map[string][]string) {
	target := []string{"ACTIVE", "HEALTHY"}
	check(instances.Restart(ctx, client, id).ExtractErr())
	statuses["restart"] = untilStatus(ctx, client, id, []string{"REBOOT"}, target)
	check(instances.Resize(ctx, client, id, "2").ExtractErr())
	statuses["resize"] = untilStatus(ctx, client, id, []string{"RESIZE"}, target)
	check(instances.ResizeVolume(ctx, client, id, 2).ExtractErr())
	statuses["resize_volume"] = untilStatus(ctx, client, id, []string{"RESIZE"}, target)
	check(instances.DetachConfigurationGroup(ctx, client, id).ExtractErr())
	instance := must(instances.Get(ctx, client, id).Extract())
	expect("resized", instance.Flavor.ID == "2" && instance.Volume.Size == 2, instance)
}

func checkErrors(ctx context.Context, client *gophercloud.ServiceClient, id string) {
	_, err := instances.Get(ctx, client, "none").Extract()
	expect("no such instance", gophercloud.ResponseCodeIs(err, http.StatusNotFound), err)
	err = databases.Create(ctx, client, id, databases.BatchCreateOpts{{Name: "cart"}}).ExtractErr()
	expect("existing database", gophercloud.ResponseCodeIs(err, http.StatusBadRequest), err)
	_, err = instances.Create(ctx, client, instances.CreateOpts{Name: "x", FlavorRef: "99", Size: 1}).Extract()
	expect("no such flavor", gophercloud.ResponseCodeIs(err, http.StatusBadRequest), err)
	err = instances.AttachConfigurationGroup(ctx, client, id, "5b3b2a4e-8a2d-4d4f-9f0e-0a3cf2f6a111").ExtractErr()
	expect("no such configuration", gophercloud.ResponseCodeIs(err, http.StatusNotFound), err)
}

// untilStatus waits as Terraform does: any status that is neither pending nor a target ends the program.
func untilStatus(ctx context.Context, client *gophercloud.ServiceClient, id string, pending, target []string) []string {
	history := []string{}
	await(ctx, strings.Join(target, " or "), func() bool {
		instance := must(instances.Get(ctx, client, id).Extract())
		history = appendChange(history, instance.Status)
		expect("status of "+id, slices.Contains(pending, instance.Status) || slices.Contains(target, instance.Status), instance)
		return slices.Contains(target, instance.Status)
	})
	return history
}

// untilGone waits for 404, as Terraform does: any status before it but ACTIVE and SHUTDOWN ends the program.
func untilGone(ctx context.Context, client *gophercloud.ServiceClient, id string) []string {
	history := []string{}
	await(ctx, "end of "+id, func() bool {
		instance, err := instances.Get(ctx, client, id).Extract()
		if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			history = appendChange(history, "404")
			return true
		}
		check(err)
		history = appendChange(history, instance.Status)
		expect("status of "+id, instance.Status == "ACTIVE" || instance.Status == "SHUTDOWN", instance.Status)
		return false
	})
	return history
}

func appendChange(history []string, status string) []string {
	if len(history) > 0 && history[len(history)-1] == status {
		return history
	}
	return append(history, status)
}

func await(ctx context.Context, what string, holds func() bool) {
	for !holds() {
		select {
		case <-ctx.Done():
			check(fmt.Errorf("no %s in time", what))
		case <-time.After(50 * time.Millisecond):
		}
	}
}
