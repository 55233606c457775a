// Command operator-types answers one question: would the Prometheus Operator know every field of these objects?
//
// It reads ServiceMonitors, PodMonitors and PrometheusRules as JSON lines from standard input and decodes them strictly into the
// operator's own types, of the oldest release the chart is meant for (go.mod). An unknown or mistyped field is an error.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

func check(line []byte) error {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return err
	}
	var into any
	switch head.APIVersion + " " + head.Kind {
	case "monitoring.coreos.com/v1 ServiceMonitor":
		into = &monitoringv1.ServiceMonitor{}
	case "monitoring.coreos.com/v1 PodMonitor":
		into = &monitoringv1.PodMonitor{}
	case "monitoring.coreos.com/v1 PrometheusRule":
		into = &monitoringv1.PrometheusRule{}
	default:
		return fmt.Errorf("unknown object %s %s", head.APIVersion, head.Kind)
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", head.Kind, err)
	}
	return nil
}

func main() {
	status, seen := 0, 0
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		seen++
		if err := check(lines.Bytes()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	fmt.Printf("%d objects read\n", seen)
	os.Exit(status)
}
