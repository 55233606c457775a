//! How do series become a scrape? Families in the order of the catalogue, each label set once. OpenMetrics is encoded by
//! prometheus-client, text 0.0.4 by `text.rs`.

use super::catalogue::{Kind, Metric, Name};
use super::series::{LabelValue, Series, Value};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// All series of a scrape, by metric and label set, so that none can occur twice.
#[derive(Debug, Default)]
pub struct Exposition {
    pub(super) families: BTreeMap<Name, Family>,
}

#[derive(Debug, Default)]
pub(super) struct Family {
    seen: BTreeSet<Vec<LabelValue>>,
    /// In the order in which they came, which is that of the layer tree.
    pub(super) samples: Vec<(Vec<LabelValue>, Value)>,
}

impl Exposition {
    /// Adds a series; a label set that is there already keeps its first value.
    pub fn push(&mut self, series: Series) {
        let family = self.families.entry(series.name).or_default();
        if family.seen.insert(series.labels.clone()) {
            family.samples.push((series.labels, series.value));
        }
    }

    /// The number of series.
    pub fn len(&self) -> usize {
        self.families.values().map(|family| family.samples.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// OpenMetrics 1.0 text.
    pub fn into_openmetrics(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a string cannot fail, and no part of the encoding does otherwise.
        if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
            text.clear();
        }
        text
    }
}

/// The HELP text; one line without a backslash or a quote, as the catalogue's tests demand.
pub(super) fn help(metric: &Metric) -> String {
    format!("{}.", metric.help)
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, family) in &self.families {
            let metric = name.metric();
            let unit = metric.unit.map(unit);
            let mut encoder =
                encoder.encode_descriptor(metric.base, &help(metric), unit.as_ref(), metric_type(metric.kind))?;
            for (values, value) in &family.samples {
                let labels = Labels { metric, values };
                if metric.kind == Kind::Info {
                    encoder.encode_info(&labels)?;
                    continue;
                }
                if values.is_empty() {
                    // The encoder of this family serves its one series; a family encoder would write empty braces.
                    value.encode(metric.kind, encoder)?;
                    break;
                }
                value.encode(metric.kind, encoder.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(self, kind: Kind, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match (kind, self) {
            (Kind::Counter, Self::Float(value)) => ConstCounter::new(value).encode(encoder),
            (Kind::Counter, Self::Count(value)) => ConstCounter::new(value).encode(encoder),
            (_, Self::Float(value)) => ConstGauge::new(value).encode(encoder),
            (_, Self::Count(value)) => ConstGauge::new(value).encode(encoder),
            (_, Self::Signed(value)) => ConstGauge::new(value).encode(encoder),
        }
    }
}

/// Names from the catalogue, values from the series; an empty value is left out, which is what Prometheus makes of it.
#[derive(Debug)]
struct Labels<'a> {
    metric: &'static Metric,
    values: &'a [LabelValue],
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, value) in self.metric.labels.iter().zip(self.values) {
            if !value.as_str().is_empty() {
                (*name, value.as_str()).encode(encoder.encode_label())?;
            }
        }
        Ok(())
    }
}

fn metric_type(kind: Kind) -> MetricType {
    match kind {
        Kind::Gauge => MetricType::Gauge,
        Kind::Counter => MetricType::Counter,
        Kind::Info => MetricType::Info,
        Kind::Quantiles => MetricType::Unknown,
    }
}

fn unit(unit: &'static str) -> Unit {
    match unit {
        "bytes" => Unit::Bytes,
        "seconds" => Unit::Seconds,
        other => Unit::Other(other.to_owned()),
    }
}

impl Extend<Series> for Exposition {
    fn extend<I: IntoIterator<Item = Series>>(&mut self, all: I) {
        for series in all {
            self.push(series);
        }
    }
}
