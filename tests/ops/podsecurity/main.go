// Command pod-security answers one question: which level of the Pod Security Standards admits these pods?
//
// It reads pods and objects with a pod template as JSON lines from standard input and evaluates each with Kubernetes' own admission
// code. For each it prints the kind, the strictest level that admits it, and what the levels below object to.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// object is a pod, or a workload whose template is one.
type object struct {
	Kind     string            `json:"kind"`
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     json.RawMessage   `json:"spec"`
}

func pod(line []byte) (string, *metav1.ObjectMeta, *corev1.PodSpec, error) {
	var head object
	if err := json.Unmarshal(line, &head); err != nil {
		return "", nil, nil, err
	}
	if head.Kind == "Pod" {
		var spec corev1.PodSpec
		return head.Kind, &head.Metadata, &spec, json.Unmarshal(head.Spec, &spec)
	}
	var workload struct {
		Template corev1.PodTemplateSpec `json:"template"`
	}
	err := json.Unmarshal(head.Spec, &workload)
	return head.Kind, &workload.Template.ObjectMeta, &workload.Template.Spec, err
}

func main() {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		kind, meta, spec, err := pod(lines.Bytes())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		admitted, objections := api.LevelPrivileged, []string{}
		for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
			version := api.LevelVersion{Level: level, Version: api.LatestVersion()}
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(version, meta, spec))
			if !result.Allowed {
				objections = append(objections, fmt.Sprintf("%s: %s", level, strings.Join(result.ForbiddenReasons, ", ")))
				break
			}
			admitted = level
		}
		fmt.Printf("%s\t%s\t%s\n", kind, admitted, strings.Join(objections, "; "))
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
