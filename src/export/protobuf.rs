//! How does a scrape look in Prometheus' protobuf format? Messages `io.prometheus.client.MetricFamily`, each behind its length.
//!
//! A hand-kept subset of client_model's `metrics.proto` (v0.6.2), with its field numbers; prometheus-client writes only the
//! other protobuf format, OpenMetrics', which no Prometheus reads. Names are those of text 0.0.4: a counter ends in `_total`,
//! and an info metric is a gauge.

use super::catalogue::{Kind, Metric};
use super::exposition::{LabelValue, Value};
use crate::time::i64_as_f64;
use crate::units::u64_as_f64;
use prost::Message;

/// All series of one metric.
#[derive(Clone, PartialEq, Message)]
pub struct MetricFamily {
    /// The name of its samples.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// Meaning and unit.
    #[prost(string, optional, tag = "2")]
    pub help: Option<String>,
    /// Written also where it is 0.
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    pub r#type: Option<i32>,
    /// Its series.
    #[prost(message, repeated, tag = "4")]
    pub metric: Vec<Sample>,
    /// The unit, which the name has before `_total`.
    #[prost(string, optional, tag = "5")]
    pub unit: Option<String>,
}

/// The types that occur here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum MetricType {
    /// A sum that only grows.
    Counter = 0,
    /// May go up and down.
    Gauge = 1,
    /// Nothing is said.
    Untyped = 3,
}

/// One series: the message `Metric`.
#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    /// In the order of the catalogue; an empty value is left out.
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPair>,
    /// The value of a gauge.
    #[prost(message, optional, tag = "2")]
    pub gauge: Option<Number>,
    /// The value of a counter.
    #[prost(message, optional, tag = "3")]
    pub counter: Option<Number>,
    /// The value of what is untyped.
    #[prost(message, optional, tag = "5")]
    pub untyped: Option<Number>,
}

/// A label.
#[derive(Clone, PartialEq, Message)]
pub struct LabelPair {
    /// Its name.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// Its value.
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

/// The messages `Gauge`, `Counter` and `Untyped`, which are alike as far as they are used here.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Number {
    /// The value, also where it is 0.
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
}

/// A family with the series that are given as values of its labels and their own value.
pub(super) fn family<'a>(
    metric: &'static Metric,
    help: String,
    samples: impl Iterator<Item = (&'a [LabelValue], Value)>,
) -> MetricFamily {
    let kind = match metric.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge | Kind::Info => MetricType::Gauge,
        Kind::Quantiles => MetricType::Untyped,
    };
    let sample = |(values, value): (&[LabelValue], Value)| {
        let labels = metric.labels.iter().zip(values).filter(|(_, value)| !value.as_str().is_empty());
        let label = labels
            .map(|(name, value)| LabelPair { name: Some((*name).to_owned()), value: Some(value.as_str().to_owned()) });
        let number = Some(Number { value: Some(float(value)) });
        let of = |wanted: MetricType| number.filter(|_| kind == wanted);
        let (gauge, counter, untyped) = (of(MetricType::Gauge), of(MetricType::Counter), of(MetricType::Untyped));
        Sample { label: label.collect(), gauge, counter, untyped }
    };
    MetricFamily {
        name: Some(metric.sample_name()),
        help: Some(help),
        r#type: Some(kind.into()),
        metric: samples.map(sample).collect(),
        unit: metric.unit.map(str::to_owned),
    }
}

/// Every number of this format is a double.
fn float(value: Value) -> f64 {
    match value {
        Value::Count(count) => u64_as_f64(count),
        Value::Signed(count) => i64_as_f64(count),
        Value::Float(value) => value,
    }
}
