//! One scrape of `/metrics`, as a scraper understands it.

use crate::exposition::{self, Labels};

#[derive(Debug)]
pub(crate) struct Scrape {
    samples: Vec<(String, Labels, f64)>,
}

impl Scrape {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { samples: exposition::parse(text)? })
    }

    /// Every series of a metric.
    pub(crate) fn series(&self, name: &str) -> impl Iterator<Item = (&Labels, f64)> {
        self.samples.iter().filter(move |sample| sample.0 == name).map(|sample| (&sample.1, sample.2))
    }

    /// The one series of a metric with these labels among its own.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |own: &Labels| labels.iter().all(|(label, value)| own.get(*label).is_some_and(|own| own == value));
        let mut found = self.series(name).filter(|(own, _)| fits(own)).map(|(_, value)| value);
        let first = found.next();
        assert_eq!(found.next(), None, "{name} {labels:?} is one series");
        first
    }

    /// When the round that it shows began, in seconds since the epoch.
    pub(crate) fn at(&self) -> Option<f64> {
        self.value("highwater_filesystem_last_sample_timestamp_seconds", &[])
    }
}
