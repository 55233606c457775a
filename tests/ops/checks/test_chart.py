"""helm/highwater: lint, rendering, security contexts, schemas, and that rules and dashboard are the very files of the tree."""

import json
import os
import pathlib
import re
import subprocess
import tarfile
import tempfile
import textwrap
import unittest

from support import tree
from support.chart import ALL, helm, objects, read_yaml, render

RULES = tree.ROOT / "alerts" / "highwater.rules.yaml"
DASHBOARD = tree.ROOT / "dashboards" / "highwater-node.json"
OPTIONAL = {"ServiceMonitor", "PrometheusRule", "ConfigMap"}


class Chart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tree.need("helm")

    # ---- form

    def test_lint_is_strict_and_content(self):
        for settings in ((), ALL):
            arguments = [part for setting in settings for part in ("--set", setting)]
            helm("lint", "--strict", str(tree.CHART), *arguments)

    def test_default_is_the_agent_alone_and_the_rest_is_asked_for(self):
        base = {"DaemonSet", "Service", "ServiceAccount"}
        self.assertEqual(set(objects(render())), base)
        self.assertEqual(set(objects(render(*ALL))), base | OPTIONAL)
        self.assertEqual(set(objects(render("serviceAccount.create=false"))), base - {"ServiceAccount"})

    def test_versions_are_one(self):
        (chart,) = read_yaml((tree.CHART / "Chart.yaml").read_text())
        self.assertEqual(chart["version"], chart["appVersion"])
        cargo = tree.ROOT / "Cargo.toml"
        if cargo.is_file():
            version = re.search(r'(?ms)^\[package\].*?^version = "([^"]+)"', cargo.read_text()).group(1)
            self.assertEqual(chart["appVersion"], version, "Chart.yaml and Cargo.toml")

    def test_every_object_is_named_labelled_and_in_the_namespace(self):
        for kind, item in objects(render(*ALL)).items():
            meta = item["metadata"]
            self.assertEqual(meta["namespace"], "monitoring", kind)
            self.assertTrue(meta["name"].startswith("hw-highwater"), kind)
            self.assertEqual(meta["labels"]["app.kubernetes.io/name"], "highwater", kind)
            self.assertEqual(meta["labels"]["app.kubernetes.io/instance"], "hw", kind)

    def test_long_release_names_give_valid_object_names(self):
        for item in objects(render(*ALL, release="a" * 53)).values():
            self.assertRegex(item["metadata"]["name"], r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")

    def test_a_release_called_highwater_is_not_called_so_twice(self):
        self.assertEqual(objects(render(release="highwater"))["DaemonSet"]["metadata"]["name"], "highwater")

    # ---- what the agent may do

    def test_pod_sees_the_node_and_nothing_of_the_api(self):
        pod = objects(render())["DaemonSet"]["spec"]["template"]["spec"]
        self.assertIs(pod["hostPID"], True)
        self.assertIs(pod["automountServiceAccountToken"], False)
        self.assertIs(pod["enableServiceLinks"], False)
        self.assertFalse({"hostNetwork", "hostIPC", "initContainers", "shareProcessNamespace"} & set(pod))
        self.assertEqual(pod["priorityClassName"], "system-node-critical")
        self.assertEqual(pod["tolerations"], [{"operator": "Exists"}])
        self.assertEqual(pod["securityContext"], {"seccompProfile": {"type": "RuntimeDefault"}})
        self.assertIs(objects(render())["ServiceAccount"]["automountServiceAccountToken"], False)

    def test_container_has_two_capabilities_and_cannot_gain_or_write(self):
        (container,) = objects(render())["DaemonSet"]["spec"]["template"]["spec"]["containers"]
        self.assertEqual(
            container["securityContext"],
            {
                "runAsUser": 0,
                "runAsGroup": 0,
                "privileged": False,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE", "DAC_READ_SEARCH"]},
                "seccompProfile": {"type": "RuntimeDefault"},
                "appArmorProfile": {"type": "Unconfined"},
            },
        )

    def test_the_node_is_mounted_read_only_with_later_mounts_and_one_folder_is_written(self):
        node = {"name": "rootfs", "hostPath": {"path": "/", "type": "Directory"}}
        node_mount = {"name": "rootfs", "mountPath": "/host", "readOnly": True, "mountPropagation": "HostToContainer"}
        for folder in ("/var/lib/highwater", "/mnt/other", ""):
            pod = objects(render(f"storage.hostPath={folder}"))["DaemonSet"]["spec"]["template"]["spec"]
            agent = pod["containers"][0]
            state = {"name": "storage", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}
            mount = {"name": "storage", "mountPath": "/var/lib/highwater"}
            self.assertEqual(pod["volumes"], [node, state] if folder else [node])
            self.assertEqual(agent["volumeMounts"], [node_mount, mount] if folder else [node_mount])
            self.assertEqual("--storage.path=/var/lib/highwater" in agent["args"], bool(folder))
        default = objects(render())["DaemonSet"]["spec"]["template"]["spec"]["volumes"]
        self.assertEqual(default[1]["hostPath"]["path"], "/var/lib/highwater")

    def test_no_rights_are_bound(self):
        for word in ("RoleBinding", "ClusterRole", "kind: Secret"):
            self.assertNotIn(word, render(*ALL))

    def test_app_armor_is_an_annotation_before_1_30_and_a_field_since(self):
        key = "container.apparmor.security.beta.kubernetes.io/highwater"
        for kube, profile, annotation in (
            ("1.29.0", "Unconfined", "unconfined"),
            ("1.29.0", "RuntimeDefault", "runtime/default"),
            ("1.30.0", "RuntimeDefault", None),
        ):
            template = objects(render(f"appArmorProfile={profile}", kube=kube))["DaemonSet"]["spec"]["template"]
            context = template["spec"]["containers"][0]["securityContext"]
            self.assertEqual(template["metadata"]["annotations"].get(key), annotation)
            self.assertEqual(context.get("appArmorProfile"), None if annotation else {"type": profile})

    # ---- how it is reached

    def test_arguments_port_and_probes_agree(self):
        found = objects(render("service.port=9999", "extraArgs={--log.level=debug}", *ALL))
        (container,) = found["DaemonSet"]["spec"]["template"]["spec"]["containers"]
        self.assertEqual(
            container["args"],
            ["run", "--path.procfs=/proc", "--path.rootfs=/host", "--web.listen-address=:9999"]
            + ["--storage.path=/var/lib/highwater", "--log.level=debug"],
        )
        (port,) = container["ports"]
        self.assertEqual((port["name"], port["containerPort"]), ("metrics", 9999))
        (service_port,) = found["Service"]["spec"]["ports"]
        self.assertEqual((service_port["name"], service_port["port"], service_port["targetPort"]), ("metrics", 9999, "metrics"))
        self.assertEqual(container["livenessProbe"]["httpGet"], {"path": "/-/healthy", "port": "metrics"})
        self.assertEqual(container["readinessProbe"]["httpGet"], {"path": "/-/ready", "port": "metrics"})
        (endpoint,) = found["ServiceMonitor"]["spec"]["endpoints"]
        self.assertEqual((endpoint["port"], endpoint["path"]), ("metrics", "/metrics"))
        (default,) = objects(render())["DaemonSet"]["spec"]["template"]["spec"]["containers"]
        self.assertIn("--web.listen-address=:9469", default["args"])

    def test_with_a_web_configuration_it_is_mounted_and_probes_need_no_password(self):
        settings = ("web.configSecret=tls", "serviceMonitor.scheme=https", "serviceMonitor.basicAuth.username.name=tls")
        found = objects(render(*settings, *ALL))
        pod = found["DaemonSet"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        self.assertIn("--web.config.file=/etc/highwater/web/web.yml", container["args"])
        self.assertIn({"name": "web", "secret": {"secretName": "tls", "defaultMode": 0o400}}, pod["volumes"])
        self.assertIn({"name": "web", "mountPath": "/etc/highwater/web", "readOnly": True}, container["volumeMounts"])
        for probe in ("livenessProbe", "readinessProbe"):
            self.assertEqual(container[probe]["tcpSocket"], {"port": "metrics"})
            self.assertNotIn("httpGet", container[probe])
        (endpoint,) = found["ServiceMonitor"]["spec"]["endpoints"]
        self.assertEqual((endpoint["scheme"], endpoint["basicAuth"]), ("https", {"username": {"name": "tls"}}))

    def test_selectors_choose_what_they_mean(self):
        found = objects(render("podLabels.team=ci", *ALL))
        template = found["DaemonSet"]["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(template["team"], "ci")
        for selector, labels in (
            (found["DaemonSet"]["spec"]["selector"]["matchLabels"], template),
            (found["Service"]["spec"]["selector"], template),
            (found["ServiceMonitor"]["spec"]["selector"]["matchLabels"], found["Service"]["metadata"]["labels"]),
        ):
            self.assertEqual(len(selector), 2)
            self.assertLessEqual(selector.items(), labels.items())

    def test_scraped_job_and_instance_are_those_the_alerts_expect(self):
        found = objects(render(*ALL, release="ci"))
        monitor = found["ServiceMonitor"]["spec"]
        job = found["Service"]["metadata"]["labels"][monitor["jobLabel"]]
        pattern = re.search(r'up\{job=~"([^"]+)"\}', RULES.read_text()).group(1)
        self.assertRegex(job, f"^(?:{pattern})$")
        (endpoint,) = monitor["endpoints"]
        self.assertIs(endpoint["honorLabels"], True)
        targets = {rule["targetLabel"]: rule["sourceLabels"] for rule in endpoint["relabelings"]}
        self.assertEqual(targets, {name: ["__meta_kubernetes_pod_node_name"] for name in ("instance", "node")})

    def test_image_is_tag_or_digest(self):
        def image(*settings):
            return objects(render(*settings))["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]["image"]

        digest = "sha256:" + "0" * 64
        self.assertEqual(image(), "highwater:0.1.0")
        self.assertEqual(image("image.tag=edge"), "highwater:edge")
        self.assertEqual(image("image.tag=edge", f"image.digest={digest}"), f"highwater@{digest}")

    # ---- one copy of rules and dashboard

    def test_every_rule_file_and_dashboard_is_linked_into_the_chart(self):
        links = {link.name: link for link in (tree.CHART / "files").iterdir()}
        self.assertEqual(set(links), {path.name for path in tree.RULES + tree.DASHBOARDS})
        for path in tree.RULES + tree.DASHBOARDS:
            self.assertTrue(links[path.name].is_symlink(), path.name)
            self.assertFalse(os.readlink(links[path.name]).startswith("/"), path.name)
            self.assertEqual(links[path.name].resolve(), path.resolve())

    def test_rendered_rules_are_the_file_itself_byte_for_byte(self):
        text = render(*ALL)
        part = next(part for part in text.split("\n---\n") if "kind: PrometheusRule" in part)
        spec = textwrap.dedent(part.split("\nspec:\n", 1)[1])
        self.assertEqual(spec.strip("\n"), RULES.read_text().strip("\n"))
        self.assertIn("{{ $labels.instance }}", spec, "Prometheus' own templates must arrive unrendered")

    def test_rendered_rules_mean_what_the_file_means(self):
        (file,) = read_yaml(RULES.read_text())
        self.assertEqual(objects(render(*ALL))["PrometheusRule"]["spec"], file)

    def test_runbook_base_url_changes_runbook_urls_and_nothing_else(self):
        for base in ("https://wiki.example.org/hw", "https://wiki.example.org/hw/"):
            spec = objects(render("prometheusRule.runbookBaseUrl=" + base, *ALL))["PrometheusRule"]["spec"]
            (file,) = read_yaml(RULES.read_text())
            changed = 0
            for group in file["groups"]:
                for rule in group["rules"]:
                    if "alert" in rule:
                        changed += 1
                        rule["annotations"]["runbook_url"] = f"https://wiki.example.org/hw/{rule['alert']}.md"
            self.assertGreater(changed, 2)
            self.assertEqual(spec, file)

    def test_rendered_dashboard_is_the_file_itself(self):
        config = objects(render(*ALL))["ConfigMap"]
        self.assertEqual(config["data"], {DASHBOARD.name: DASHBOARD.read_text()})
        self.assertEqual(config["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertLess(len(json.dumps(config)), 1 << 20, "a ConfigMap holds at most 1 MiB")

    def test_package_carries_the_files_and_renders_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            helm("package", str(tree.CHART), "--destination", folder)
            (archive,) = pathlib.Path(folder).glob("*.tgz")
            with tarfile.open(archive) as tar:
                for path in tree.RULES + tree.DASHBOARDS:
                    member = tar.getmember(f"highwater/files/{path.name}")
                    self.assertTrue(member.isreg(), f"{path.name} is a link in the archive")
                    self.assertEqual(tar.extractfile(member).read(), path.read_bytes())
            self.assertEqual(render(*ALL, chart=str(archive)), render(*ALL))

    # ---- values

    def test_values_that_cannot_work_are_refused(self):
        for setting in (
            "unknown=1",
            "image.repositry=x",
            "image.repository=",
            "image.digest=sha256:abc",
            "image.pullPolicy=Sometimes",
            "extraArgs={log.level}",
            "service.port=http",
            "service.port=80",
            "serviceMonitor.enabled=maybe",
            "serviceMonitor.interval=often",
            "serviceMonitor.scheme=gopher",
            "prometheusRule.runbookBaseUrl=docs",
            "appArmorProfile=off",
            "updateStrategy.type=Now",
            "resources.limit.memory=1Gi",
            "fullnameOverride=Not_Valid",
        ):
            done = helm("template", "hw", str(tree.CHART), "--set", setting, check=False)
            self.assertNotEqual(done.returncode, 0, setting)
            self.assertIn("schema", done.stderr, setting)

    def test_every_value_is_in_the_schema_and_in_the_readme(self):
        (values,) = read_yaml((tree.CHART / "values.yaml").read_text())
        schema = json.loads((tree.CHART / "values.schema.json").read_text())
        readme = (tree.CHART / "README.md").read_text()
        for key, value in values.items():
            self.assertIn(key, schema["properties"])
            self.assertIn(f"`{key}", readme)
            inner = schema["properties"][key].get("properties", {})
            for name in value if isinstance(value, dict) and inner else ():
                self.assertIn(name, inner, key)
        self.assertEqual(set(schema["properties"]) - set(values), {"global"})

    def test_notes_name_the_release(self):
        done = helm("install", "hw", str(tree.CHART), "--namespace", "ci", "--dry-run=client")
        self.assertIn("DaemonSet hw-highwater", done.stdout)
        self.assertIn("kubectl --namespace ci", done.stdout)

    # ---- what Kubernetes and the Operator say

    def test_kubernetes_schemas_accept_oldest_and_newest_release(self):
        tree.need("kubeconform")
        base = pathlib.Path(os.environ.get("HIGHWATER_TOOLS", "/nonexistent"), "kubernetes-schemas")
        releases = sorted(base.glob("*/v*"))
        if not releases:
            raise unittest.SkipTest("needs kubernetes-schemas (tests/tools/install)")
        for folder in releases:
            version = folder.name.removeprefix("v")
            for settings in (ALL, ALL + ("seLinuxOptions.type=spc_t", "imagePullSecrets[0].name=x", "podAnnotations.a=b", "web.configSecret=x")):
                done = subprocess.run(
                    [
                        "kubeconform",
                        "-strict",
                        "-summary",
                        "-skip=ServiceMonitor,PrometheusRule",
                        f"-kubernetes-version={version}",
                        f"-schema-location={folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json",
                    ],
                    input=render(*settings, kube=version),
                    capture_output=True,
                    text=True,
                )
                self.assertEqual(done.returncode, 0, f"{version}: {done.stdout}{done.stderr}")
                self.assertIn("Valid: 4, Invalid: 0, Errors: 0, Skipped: 2", done.stdout)

    def test_the_operators_types_know_every_field(self):
        tree.need("operator-types")
        found = objects(render("serviceMonitor.tlsConfig.serverName=x", "serviceMonitor.basicAuth.username.name=x", *ALL))
        lines = "\n".join(json.dumps(found[kind]) for kind in ("ServiceMonitor", "PrometheusRule"))
        done = subprocess.run(["operator-types"], input=lines, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr, done.stdout), (0, "", "2 objects read\n"))
        found["ServiceMonitor"]["spec"]["endpoints"][0]["intervall"] = "1s"
        done = subprocess.run(["operator-types"], input=json.dumps(found["ServiceMonitor"]), capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0, "an unknown field went unnoticed")
