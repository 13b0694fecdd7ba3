"""Runs tempest's classes for PostgreSQL, all at the same time, and prints the outcome of each test as JSON.

run_tempest.py FOLDER: TEMPEST_CONFIG_DIR names the folder of tempest.conf; each class gets a folder below FOLDER.
{"TestInstanceBasicPostgreSQL.test_configuration": {"outcome": "passed" | "failed" | "skipped", "text": "..."}}
"""

import contextlib
import importlib
import json
import multiprocessing
import os
import pkgutil
import sys
import unittest
import uuid

from trove_tempest_plugin.tests import scenario
from trove_tempest_plugin.tests.scenario import test_instance_actions
from trove_tempest_plugin.tests.scenario import test_instance_ssl


class ServersClient:
    """In place of Nova's: a server has the flavor that Coffer's management shows for the instance."""

    def __init__(self, trove):
        self.trove = trove

    def list_servers(self, name, **_):
        instances = self.trove.list_resources("mgmt/instances")["instances"]
        return {"servers": [{"flavor": i["flavor"]} for i in instances if i["name"] == name]}


class TestInstanceActionsPostgreSQL(test_instance_actions.TestInstanceActionsPostgreSQL):
    @classmethod
    def setup_clients(cls):
        super().setup_clients()
        cls.admin_server_client = ServersClient(cls.admin_client)

    @classmethod
    def init_db(cls, ip):
        # The plugin logs in to its second instance with the password that root has on the first.
        if ip != cls.instance_ip:
            instances = cls.client.list_resources("instances")["instances"]
            second = next(i for i in instances if ip in [a["address"] for a in i.get("addresses", [])])
            cls.enable_root_access(second["id"], cls.password)
        super().init_db(ip)

    def test_rebuild_without_configuration(self):
        """The rest of test_rebuild, which has inserted its data and failed at its configuration group."""
        self.rebuild_instance(self.instance_id, str(uuid.uuid4()))
        # A new server may have another address: the one of before may have been given to another instance meanwhile.
        type(self).instance_ip = self.get_instance_ip()
        self.verify_data_after_rebuild(self.instance_ip)


class KeyManager:
    """In place of Barbican: accepts any secret, so that the tests get as far as Coffer's answer."""

    def create_secret(self, **_):
        return {"secret_ref": f"http://127.0.0.1/secrets/{uuid.uuid4()}"}

    def ref_to_uuid(self, ref):
        return ref.rpartition("/")[2]

    def delete_secret(self, _):
        pass


class KeyManagerClients:
    SecretClient = SecretConsumerClient = KeyManager


class TestInstanceSSLPostgreSQL(test_instance_ssl.TestInstanceSSLPostgreSQL):
    @classmethod
    def setup_clients(cls):
        super().setup_clients()
        cls.os_primary.secret_v1 = cls.os_primary.secret_v1_1 = KeyManagerClients


def all_classes():
    """The plugin's classes for PostgreSQL, by name, those of this file in place of their parents."""
    classes = {}
    for module in pkgutil.iter_modules(scenario.__path__, f"{scenario.__name__}."):
        names = vars(importlib.import_module(module.name))
        classes |= {name: names[name] for name in names if name.endswith("PostgreSQL")}
    return classes | {
        "TestInstanceActionsPostgreSQL": TestInstanceActionsPostgreSQL,
        "TestInstanceSSLPostgreSQL": TestInstanceSSLPostgreSQL,
    }


CLASSES = all_classes()


class Outcomes(unittest.TestResult):
    """The outcome of each test of a class. A failed set-up is reported as a test called setUpClass."""

    def __init__(self, title):
        super().__init__()
        self.title = title
        self.outcomes = {}

    def _record(self, test, outcome, text=""):
        name = test.id().partition("[")[0]
        name = name.split(" ")[0] if " (" in name else name.rpartition(".")[2]
        self.outcomes[f"{self.title}.{name}"] = {"outcome": outcome, "text": text}

    def addSuccess(self, test):
        self._record(test, "passed")

    def addSkip(self, test, reason):
        self._record(test, "skipped", reason)

    def addError(self, test, err):
        self._record(test, "failed", self._exc_info_to_string(err, test))

    addFailure = addError


def run(title, folder):
    # Tempest notes the accounts in use below the working directory. With one for each class, all use the same accounts.
    class_folder = os.path.join(folder, title)
    os.mkdir(class_folder)
    os.chdir(class_folder)
    result = Outcomes(title)
    unittest.defaultTestLoader.loadTestsFromTestCase(CLASSES[title]).run(result)
    return result.outcomes


def main():
    with contextlib.redirect_stdout(sys.stderr):
        # Forked, because importing tempest takes two seconds.
        with multiprocessing.get_context("fork").Pool(len(CLASSES), maxtasksperchild=1) as pool:
            results = pool.starmap(run, [(title, sys.argv[1]) for title in CLASSES], chunksize=1)
    print(json.dumps({name: outcome for outcomes in results for name, outcome in outcomes.items()}))


if __name__ == "__main__":
    main()
