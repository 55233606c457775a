"""Each switch of helm/highwater: what it changes, what it refuses, and that README and schema know it."""

import json
import re
import unittest

from support import tree
from support.chart import ALL, agent_of, helm, objects, pod_of, read_yaml, render

EVERYTHING = tree.CHART / "ci" / "everything-values.yaml"
SIDECAR = ("profile=sidecar", "podMonitor.enabled=true")


def endpoint(*settings, kind="ServiceMonitor", **options):
    spec = objects(render(*settings, **options))[kind]["spec"]
    (one,) = spec["endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"]
    return one


class Values(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tree.need("helm")

    # ---- profiles

    def test_reduced_sees_the_node_by_read_only_mounts_and_has_no_way_into_other_containers(self):
        text = render("profile=reduced", kube="1.31.0")
        pod, agent = pod_of(text), agent_of(text)
        self.assertNotIn("hostPID", pod)
        self.assertEqual(agent["securityContext"]["capabilities"], {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]})
        self.assertEqual(agent["securityContext"]["appArmorProfile"], {"type": "RuntimeDefault"})
        self.assertEqual(agent["args"][:3], ["run", "--path.procfs=/host/proc", "--path.rootfs=/host/root"])
        proc, root, state = agent["volumeMounts"]
        self.assertEqual(proc, {"name": "proc", "mountPath": "/host/proc", "readOnly": True})
        self.assertEqual(
            root,
            {
                "name": "host-0",
                "mountPath": "/host/root",
                "readOnly": True,
                "mountPropagation": "None",
                "recursiveReadOnly": "IfPossible",
            },
        )
        self.assertEqual(state["name"], "storage")
        paths = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"]}
        self.assertEqual(paths, {"proc": "/proc", "host-0": "/", "storage": "/var/lib/highwater"})

    def test_reduced_mounts_what_is_named_and_nothing_else(self):
        text = render("profile=reduced", "hostRoot.paths={/etc/kubernetes,/run/}", "storage.hostPath=")
        mounts = [mount["mountPath"] for mount in agent_of(text)["volumeMounts"]]
        self.assertEqual(mounts, ["/host/proc", "/host/root/etc/kubernetes", "/host/root/run"])

    def test_mounts_are_read_only_all_the_way_down_where_the_server_can_and_no_later_mount_is_wanted(self):
        def recursive(kube, *settings):
            return agent_of(render("profile=reduced", *settings, kube=kube))["volumeMounts"][1].get("recursiveReadOnly")

        self.assertEqual(recursive("1.31.0", "hostRoot.recursiveReadOnly=Enabled"), "Enabled")
        self.assertIsNone(recursive("1.30.0"))
        self.assertIsNone(recursive("1.31.0", "hostRoot.recursiveReadOnly=Disabled"))
        # The API server refuses the two together.
        self.assertIsNone(recursive("1.31.0", "hostRoot.mountPropagation=HostToContainer"))

    def test_sidecar_is_a_container_for_another_pod_and_no_daemon_set(self):
        found = objects(render(*SIDECAR, kube="1.30.0"))
        self.assertEqual(set(found), {"ConfigMap", "PodMonitor"})
        (part,) = read_yaml(found["ConfigMap"]["data"]["pod.yaml"])
        self.assertIs(part["spec"]["shareProcessNamespace"], True)
        (agent,) = part["spec"]["initContainers"]
        self.assertEqual(agent["restartPolicy"], "Always")
        self.assertEqual(agent["args"], ["run", "--web.listen-address=:9469"])
        self.assertNotIn("volumeMounts", agent)
        self.assertEqual(agent["securityContext"]["capabilities"]["add"], ["SYS_PTRACE", "DAC_READ_SEARCH"])
        monitor = found["PodMonitor"]["spec"]
        self.assertEqual(monitor["selector"]["matchLabels"], part["metadata"]["labels"])
        self.assertEqual(monitor["namespaceSelector"], {"any": True})
        # Several pods of one node: the node's name alone would be one instance for all.
        targets = [rule["targetLabel"] for rule in monitor["podMetricsEndpoints"][0]["relabelings"]]
        self.assertEqual(targets, ["job", "node"])

    def test_sidecar_before_1_29_is_an_ordinary_container(self):
        (part,) = read_yaml(objects(render(*SIDECAR, kube="1.28.0"))["ConfigMap"]["data"]["pod.yaml"])
        (agent,) = part["spec"]["containers"]
        self.assertNotIn("restartPolicy", agent)

    # ---- what is scraped

    def test_job_survives_every_name(self):
        for settings in (("nameOverride=foo",), ("fullnameOverride=bar",)):
            for kind in ("serviceMonitor", "podMonitor"):
                one = endpoint(f"{kind}.enabled=true", *settings, kind=kind[0].upper() + kind[1:])
                self.assertIn({"targetLabel": "job", "replacement": "highwater"}, one["relabelings"])

    def test_cluster_is_a_label_of_every_series_before_the_rules_of_the_user(self):
        settings = ("cluster=prow", "serviceMonitor.relabelings[0].targetLabel=zone", "serviceMonitor.relabelings[0].replacement=a")
        rules = endpoint("serviceMonitor.enabled=true", *settings)["relabelings"]
        self.assertEqual(rules[-2:], [{"targetLabel": "cluster", "replacement": "prow"}, {"targetLabel": "zone", "replacement": "a"}])
        self.assertNotIn("cluster", [rule["targetLabel"] for rule in endpoint("serviceMonitor.enabled=true")["relabelings"]])

    def test_an_interval_below_the_timeout_is_refused(self):
        for monitor in ("serviceMonitor", "podMonitor"):
            for interval, timeout, accepted in (("15s", "20s", False), ("1m", "60s", True), ("1m30s", "91s", False), ("9s", "9000ms", True)):
                settings = (f"{monitor}.enabled=true", f"{monitor}.interval={interval}", f"{monitor}.scrapeTimeout={timeout}")
                done = helm("template", "hw", str(tree.CHART), "--set", ",".join(settings), check=False)
                self.assertEqual(done.returncode == 0, accepted, settings)
                if not accepted:
                    self.assertIn(f"{monitor}.scrapeTimeout is {timeout}, but must be at most {monitor}.interval", done.stderr)

    def test_one_monitor_is_enough_and_a_sidecar_has_neither_service_nor_files(self):
        for settings, message in (
            (("serviceMonitor.enabled=true", "podMonitor.enabled=true"), "would scrape each agent twice"),
            (("profile=sidecar", "serviceMonitor.enabled=true"), "set podMonitor.enabled instead"),
            (("profile=sidecar", "config.sample.interval=2s"), "profile is sidecar, which mounts nothing"),
            (("profile=sidecar", "web.configSecret=x"), "profile is sidecar, which mounts nothing"),
        ):
            done = helm("template", "hw", str(tree.CHART), "--set", ",".join(settings), check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(message, done.stderr)

    def test_monitors_carry_limits_labels_metadata_and_proxy(self):
        for kind in ("serviceMonitor", "podMonitor"):
            keys = ("enabled=true", "namespace=mon", "labels.a=b", "sampleLimit=9", "podTargetLabels={team}", "attachMetadata.node=true")
            settings = [f"{kind}.{key}" for key in keys] + [f"{kind}.proxyUrl=http://p:1", "operatorLabels.release=kps"]
            found = objects(render(*settings))[kind[0].upper() + kind[1:]]
            self.assertEqual(found["metadata"]["namespace"], "mon")
            self.assertLessEqual({"a": "b", "release": "kps"}.items(), found["metadata"]["labels"].items())
            spec = found["spec"]
            self.assertEqual((spec["sampleLimit"], spec["podTargetLabels"], spec["attachMetadata"]), (9, ["team"], {"node": True}))
            self.assertEqual(spec["namespaceSelector"], {"matchNames": ["monitoring"]})
            (one,) = spec["endpoints" if kind == "serviceMonitor" else "podMetricsEndpoints"]
            self.assertEqual(one["proxyUrl"], "http://p:1")

    # ---- alerts

    def test_an_alert_that_is_switched_off_is_left_out_and_no_other(self):
        def alerts(*settings):
            spec = objects(render("prometheusRule.enabled=true", *settings))["PrometheusRule"]["spec"]
            return {rule["alert"] for group in spec["groups"] for rule in group["rules"] if "alert" in rule}

        (values,) = read_yaml((tree.CHART / "values.yaml").read_text())
        known = set(values["prometheusRule"]["alerts"])
        self.assertEqual(alerts(), known, "prometheusRule.alerts names each alert of alerts/")
        self.assertEqual(alerts("prometheusRule.alerts.HighwaterAgentBlind=false"), known - {"HighwaterAgentBlind"})

    def test_recording_rules_stay_when_alerts_go(self):
        def records(*settings):
            spec = objects(render("prometheusRule.enabled=true", *settings))["PrometheusRule"]["spec"]
            return [rule for group in spec["groups"] for rule in group["rules"] if "record" in rule]

        self.assertEqual(records("prometheusRule.alerts.HighwaterImageGCImminent=false"), records())

    # ---- the pod

    def test_the_configuration_is_a_file_and_its_change_replaces_the_pods(self):
        def template(value):
            return objects(render(f"config.sample.interval={value}"))["DaemonSet"]["spec"]["template"]

        found = objects(render("config.sample.interval=2s"))
        self.assertEqual(read_yaml(found["ConfigMap"]["data"]["highwater.yaml"]), [{"sample": {"interval": "2s"}}])
        agent = template("2s")["spec"]["containers"][0]
        self.assertIn("--config.file=/etc/highwater/config/highwater.yaml", agent["args"])
        self.assertIn({"name": "config", "mountPath": "/etc/highwater/config", "readOnly": True}, agent["volumeMounts"])
        sums = {template(value)["metadata"]["annotations"]["checksum/config"] for value in ("2s", "3s", "2s")}
        self.assertEqual(len(sums), 2)
        self.assertNotIn("--config.file", render())

    def test_everything_reaches_its_place(self):
        found = {(item["kind"], item["metadata"]["name"]): item for item in read_yaml(render(values=EVERYTHING, kube="1.31.0"))}
        template = found["DaemonSet", "hw"]["spec"]["template"]
        pod = template["spec"]
        agent, proxy = pod["containers"]
        self.assertEqual(proxy["name"], "proxy")
        self.assertEqual(agent["env"], [{"name": "NO_COLOR", "value": "1"}])
        self.assertIn({"name": "scratch", "mountPath": "/scratch"}, agent["volumeMounts"])
        self.assertIn({"name": "scratch", "emptyDir": {}}, pod["volumes"])
        self.assertEqual((pod["hostNetwork"], pod["dnsPolicy"]), (True, "ClusterFirstWithHostNet"))
        self.assertEqual(agent["securityContext"]["capabilities"], {"drop": ["ALL"], "add": ["SYS_PTRACE"]})
        self.assertEqual(agent["securityContext"]["appArmorProfile"], {"type": "Localhost", "localhostProfile": "highwater"})
        self.assertEqual(pod["securityContext"]["seLinuxOptions"], {"type": "spc_t"})
        self.assertIn("--log.format=json", agent["args"])
        self.assertEqual(found["ConfigMap", "hw-extra"]["data"], {"port": "19469"})
        self.assertIn(("ConfigMap", "extra-text"), found)
        for (kind, name), item in found.items():
            if "extra" not in name:
                self.assertEqual(item["metadata"]["labels"]["team"], "ci", kind)
        self.assertEqual(template["metadata"]["labels"]["a"], "b")

    def test_no_priority_class_is_none_at_all(self):
        self.assertNotIn("priorityClassName", pod_of(render("priorityClassName=")))

    def test_no_pod_goes_where_no_daemon_set_runs(self):
        (term,) = pod_of(render())["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        keys = {(rule["key"], rule["operator"], *rule["values"]) for rule in term["matchExpressions"]}
        self.assertEqual(
            keys, {("eks.amazonaws.com/compute-type", "NotIn", "fargate"), ("type", "NotIn", "virtual-kubelet")}
        )

    # ---- clusters with rules of their own

    def test_the_quota_is_made_on_gke_alone_unless_it_is_asked_for(self):
        gke, other = "1.33.5-gke.1201000", "1.33.0"
        for kube, settings, namespace, made in (
            (gke, (), "monitoring", True),
            (gke, (), "kube-system", False),
            (gke, ("priorityClassName=high",), "monitoring", False),
            (gke, ("resourceQuota.enabled=false",), "monitoring", False),
            (other, (), "monitoring", False),
            (other, ("resourceQuota.enabled=true",), "monitoring", True),
        ):
            found = objects(render(*settings, kube=kube, namespace=namespace))
            self.assertEqual("ResourceQuota" in found, made, (kube, settings, namespace))
        quota = objects(render("resourceQuota.enabled=true"))["ResourceQuota"]["spec"]
        (rule,) = quota["scopeSelector"]["matchExpressions"]
        self.assertEqual(rule, {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]})
        self.assertEqual(quota["hard"], {"pods": "10000"})

    def test_openshift_grants_what_the_pod_asks_for_to_its_account_alone(self):
        for profile in ("full", "reduced"):
            text = render("openshift.enabled=true", f"profile={profile}")
            found = objects(text)
            constraints = found["SecurityContextConstraints"]
            self.assertIs(constraints["allowHostPID"], profile == "full")
            self.assertIs(constraints["allowPrivilegedContainer"], False)
            self.assertEqual(constraints["allowedCapabilities"], agent_of(text)["securityContext"]["capabilities"]["add"])
            self.assertEqual(constraints["seLinuxContext"], {"type": "RunAsAny"})
            self.assertEqual(pod_of(text)["securityContext"]["seLinuxOptions"], {"type": "spc_t"})
            kinds = {next(key for key in volume if key != "name") for volume in pod_of(text)["volumes"]}
            self.assertLessEqual(kinds, set(constraints["volumes"]))
            (rule,) = found["Role"]["rules"]
            self.assertEqual((rule["resourceNames"], rule["verbs"]), ([constraints["metadata"]["name"]], ["use"]))
            (subject,) = found["RoleBinding"]["subjects"]
            self.assertEqual((subject["name"], subject["namespace"]), (pod_of(text)["serviceAccountName"], "monitoring"))
            self.assertEqual(found["RoleBinding"]["roleRef"]["name"], found["Role"]["metadata"]["name"])

    def test_the_network_policy_lets_in_whom_it_names_on_one_port(self):
        plain = objects(render("networkPolicy.enabled=true"))["NetworkPolicy"]["spec"]
        self.assertEqual(plain["ingress"], [{"ports": [{"port": "metrics", "protocol": "TCP"}]}])
        self.assertEqual((plain["egress"], plain["policyTypes"]), ([], ["Ingress", "Egress"]))
        named = objects(render("networkPolicy.enabled=true", "networkPolicy.from[0].podSelector.matchLabels.a=b"))
        self.assertEqual(named["NetworkPolicy"]["spec"]["ingress"][0]["from"], [{"podSelector": {"matchLabels": {"a": "b"}}}])

    # ---- helm test

    def test_the_test_pod_asks_the_service_without_any_right(self):
        pod = objects(render("service.port=9999"))["Pod"]
        self.assertEqual(pod["metadata"]["annotations"]["helm.sh/hook"], "test")
        (container,) = pod["spec"]["containers"]
        self.assertEqual(container["args"], ["explain", "--agent=http://hw-highwater.monitoring:9999"])
        self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
        # Nobody gave it the password.
        self.assertNotIn("Pod", objects(render("web.configSecret=x")))

    # ---- form

    def test_values_that_cannot_work_are_refused(self):
        for setting in (
            "unknown=1",
            "profile=tiny",
            "image.repositry=x",
            "image.digest=sha256:abc",
            "image.pullPolicy=Sometimes",
            "extraArgs={log.level}",
            "extraEnv[0].value=x",
            "service.port=http",
            "service.port=80",
            "serviceMonitor.enabled=maybe",
            "serviceMonitor.interval=often",
            "serviceMonitor.scheme=gopher",
            "podMonitor.sampleLimit=-1",
            "prometheusRule.runbookBaseUrl=docs",
            "prometheusRule.alerts.HighwaterDiskFull=false",
            "appArmorProfile=off",
            "appArmorProfile=Localhost/",
            "updateStrategy.type=Now",
            "resources.limit.memory=1Gi",
            "resourceQuota.enabled=perhaps",
            "hostRoot.paths={etc}",
            "hostRoot.mountPropagation=Bidirectional",
            "dnsPolicy=Mine",
            "fullnameOverride=Not_Valid",
        ):
            done = helm("template", "hw", str(tree.CHART), "--set", setting, check=False)
            self.assertNotEqual(done.returncode, 0, setting)
            self.assertIn("schema", done.stderr, setting)

    def test_a_parent_chart_may_set_enabled_and_global(self):
        render("enabled=true", "global.anything=1")

    def test_every_value_is_in_the_schema_and_in_the_readme(self):
        (values,) = read_yaml((tree.CHART / "values.yaml").read_text())
        schema = json.loads((tree.CHART / "values.schema.json").read_text())
        readme = (tree.CHART / "README.md").read_text()
        for key, value in values.items():
            self.assertIn(key, schema["properties"])
            self.assertTrue(f"`{key}`" in readme or f"`{key}." in readme, key)
            inner = schema["properties"][key].get("properties", {})
            for name in value if isinstance(value, dict) and inner else ():
                self.assertIn(name, inner, key)
        self.assertEqual(set(schema["properties"]) - set(values), {"global", "enabled"})

    def test_notes_say_what_to_check_next(self):
        def notes(*settings):
            arguments = [part for setting in settings for part in ("--set", setting)]
            done = helm("install", "hw", str(tree.CHART), "--namespace", "ci", "--dry-run=client", *arguments)
            return re.sub(r"\s+", " ", done.stdout.split("NOTES:", 1)[-1])

        full = notes()
        for text in (
            "rollout status daemonset/hw-highwater",
            "kubectl --namespace ci exec POD -- highwater check ",
            "pod-security.kubernetes.io/enforce=privileged",
            "GKE Autopilot and Fargate admit no such pod at all",
            "The pod is as root on its node",
        ):
            self.assertIn(text, full)
        self.assertIn("highwater check --agent=http://127.0.0.1:9999", notes("service.port=9999"))
        self.assertIn("check --agent=none --path.procfs=/proc --path.rootfs=/proc/1/root", notes("web.configSecret=x"))
        self.assertIn("is blind for Docker-in-Docker, kind and CAPD nodes", notes("profile=reduced"))
        self.assertNotIn("Nothing scrapes it", notes(*ALL))
        self.assertIn("get configmap hw-highwater-sidecar", notes("profile=sidecar"))
