"""helm/highwater as it comes: lint, what the agent may do, how it is reached, and that rules and dashboard are those of the tree."""

import json
import os
import pathlib
import re
import tarfile
import tempfile
import unittest

from support import tree
from support.chart import ALL, CASES, agent_of, helm, objects, pod_of, read_yaml, render

RULES = tree.ROOT / "alerts" / "highwater.rules.yaml"
DASHBOARD = tree.ROOT / "dashboards" / "highwater-node.json"
OPTIONAL = {"ServiceMonitor", "PrometheusRule", "ConfigMap"}


class Chart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tree.need("helm")

    # ---- form

    def test_lint_is_strict_and_content(self):
        self.assertEqual(len(CASES), 7)
        for case in CASES:
            helm("lint", "--strict", str(tree.CHART), "--values", str(case))

    def test_default_is_the_agent_alone_and_the_rest_is_asked_for(self):
        # The pod is that of `helm test`.
        base = {"DaemonSet", "Service", "ServiceAccount", "Pod"}
        self.assertEqual(set(objects(render())), base)
        self.assertEqual(set(objects(render(*ALL))), base | OPTIONAL)
        self.assertEqual(set(objects(render("serviceAccount.create=false"))), base - {"ServiceAccount"})

    def test_versions_are_one(self):
        (chart,) = read_yaml((tree.CHART / "Chart.yaml").read_text())
        self.assertEqual(chart["version"], chart["appVersion"])
        self.assertEqual(chart["appVersion"], tree.cargo("version"), "Chart.yaml and Cargo.toml")

    def test_every_object_is_named_labelled_and_in_the_namespace(self):
        for kind, item in objects(render(*ALL)).items():
            meta = item["metadata"]
            self.assertEqual(meta["namespace"], "monitoring", kind)
            self.assertTrue(meta["name"].startswith("hw-highwater"), kind)
            # The pod of `helm test` must not be taken for an agent.
            self.assertEqual(meta["labels"]["app.kubernetes.io/name"], "highwater-test" if kind == "Pod" else "highwater", kind)
            self.assertEqual(meta["labels"]["app.kubernetes.io/instance"], "hw", kind)

    def test_long_release_names_give_valid_object_names(self):
        for item in objects(render(*ALL, release="a" * 53)).values():
            self.assertRegex(item["metadata"]["name"], r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")

    def test_a_release_called_highwater_is_not_called_so_twice(self):
        self.assertEqual(objects(render(release="highwater"))["DaemonSet"]["metadata"]["name"], "highwater")

    # ---- what the agent may do

    def test_pod_sees_the_node_and_nothing_of_the_api(self):
        pod = pod_of(render())
        self.assertIs(pod["hostPID"], True)
        self.assertIs(pod["automountServiceAccountToken"], False)
        self.assertIs(pod["enableServiceLinks"], False)
        self.assertFalse({"hostNetwork", "hostIPC", "initContainers", "shareProcessNamespace"} & set(pod))
        self.assertEqual(pod["priorityClassName"], "system-node-critical")
        self.assertEqual(pod["tolerations"], [{"operator": "Exists"}])
        self.assertEqual(pod["securityContext"], {"seccompProfile": {"type": "RuntimeDefault"}})
        self.assertIs(objects(render())["ServiceAccount"]["automountServiceAccountToken"], False)

    def test_container_has_two_capabilities_and_cannot_gain_or_write(self):
        self.assertEqual(
            agent_of(render(kube="1.30.0"))["securityContext"],
            {
                "runAsUser": 0,
                "runAsGroup": 0,
                "runAsNonRoot": False,
                "privileged": False,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE", "DAC_READ_SEARCH"]},
                "seccompProfile": {"type": "RuntimeDefault"},
                "appArmorProfile": {"type": "Unconfined"},
            },
        )

    def test_nothing_of_the_node_is_mounted_but_the_folder_of_the_state(self):
        for folder in ("/var/lib/highwater", "/mnt/other", ""):
            text = render(f"storage.hostPath={folder}")
            state = {"name": "storage", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}
            self.assertEqual(pod_of(text).get("volumes"), [state] if folder else None)
            mount = {"name": "storage", "mountPath": "/var/lib/highwater"}
            self.assertEqual(agent_of(text).get("volumeMounts"), [mount] if folder else None)
            self.assertEqual("--storage.path=/var/lib/highwater" in agent_of(text)["args"], bool(folder))
        self.assertEqual(pod_of(render())["volumes"][0]["hostPath"]["path"], "/var/lib/highwater")

    def test_no_rights_are_bound(self):
        for word in ("RoleBinding", "ClusterRole", "kind: Secret"):
            self.assertNotIn(word, render(*ALL))

    def test_app_armor_is_an_annotation_before_1_30_and_a_field_since(self):
        key = "container.apparmor.security.beta.kubernetes.io/highwater"
        for kube, profile, annotation in (
            ("1.29.0", "Unconfined", "unconfined"),
            ("1.29.0", "RuntimeDefault", "runtime/default"),
            ("1.29.0", "Localhost/hw", "localhost/hw"),
            ("1.30.0", "RuntimeDefault", None),
        ):
            template = objects(render(f"appArmorProfile={profile}", kube=kube))["DaemonSet"]["spec"]["template"]
            context = template["spec"]["containers"][0]["securityContext"]
            self.assertEqual(template["metadata"]["annotations"].get(key), annotation)
            self.assertEqual(context.get("appArmorProfile"), None if annotation else {"type": profile})
        local = agent_of(render("appArmorProfile=Localhost/hw", kube="1.30.0"))["securityContext"]["appArmorProfile"]
        self.assertEqual(local, {"type": "Localhost", "localhostProfile": "hw"})

    # ---- how it is reached

    def test_arguments_port_and_probes_agree(self):
        found = objects(render("service.port=9999", "extraArgs={--log.level=debug}", *ALL))
        (container,) = found["DaemonSet"]["spec"]["template"]["spec"]["containers"]
        self.assertEqual(
            container["args"],
            ["run", "--path.procfs=/proc", "--path.rootfs=/proc/1/root", "--web.listen-address=:9999"]
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
        (endpoint,) = monitor["endpoints"]
        self.assertIs(endpoint["honorLabels"], True)
        job, *nodes = endpoint["relabelings"]
        self.assertEqual(job, {"targetLabel": "job", "replacement": "highwater"})
        pattern = re.search(r'up\{job=~"([^"]+)"\}', RULES.read_text()).group(1)
        self.assertRegex(job["replacement"], f"^(?:{pattern})$")
        targets = {rule["targetLabel"]: rule["sourceLabels"] for rule in nodes}
        self.assertEqual(targets, {name: ["__meta_kubernetes_pod_node_name"] for name in ("instance", "node")})

    def test_image_is_tag_or_digest(self):
        def image(*settings):
            return objects(render(*settings))["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]["image"]

        digest = "sha256:" + "0" * 64
        self.assertEqual(image("image.repository=hw"), "hw:0.1.0")
        self.assertEqual(image("image.repository=hw", "image.tag=edge"), "hw:edge")
        self.assertEqual(image("image.repository=hw", "image.tag=edge", f"image.digest={digest}"), f"hw@{digest}")

    # ---- one copy of rules and dashboard

    def test_rules_and_dashboards_of_the_chart_are_files_and_those_of_the_tree(self):
        # Flux, Rancher and checkouts on Windows drop links.
        copies = {copy.name: copy for copy in (tree.CHART / "files").iterdir()}
        self.assertEqual(set(copies), {path.name for path in tree.RULES + tree.DASHBOARDS})
        for path in tree.RULES + tree.DASHBOARDS:
            self.assertFalse(copies[path.name].is_symlink(), path.name)
            self.assertEqual(copies[path.name].read_bytes(), path.read_bytes(), f"{path.name}: run `make render`")

    def test_rendered_rules_mean_what_the_file_means(self):
        (file,) = read_yaml(RULES.read_text())
        for group in file["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    page = f"{tree.cargo('repository')}/blob/v{tree.cargo('version')}/docs/runbooks/{rule['alert']}.md"
                    rule["annotations"]["runbook_url"] = page
        self.assertEqual(objects(render(*ALL))["PrometheusRule"]["spec"], file)
        self.assertIn("{{ $labels.instance }}", render(*ALL), "Prometheus' own templates must arrive unrendered")

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
