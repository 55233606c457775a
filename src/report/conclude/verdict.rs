//! How bad is what a report says? The worst of its layers and triggers decides.

use crate::report::{Reason, Report, TriggerReport, VerdictReport, Word};
use crate::sample::Source;
use crate::verdict::{Verdict, Windows};

impl Report {
    /// The worst of all layers and triggers by these windows, the most urgent of equals; at least unknown where a disk or a
    /// kubelet's settings could not be read, and unknown where the agent has stopped sampling.
    pub fn judge(&self, windows: Windows) -> VerdictReport {
        let unknown = |reason: Reason| VerdictReport { reason: Some(reason.into()), ..VerdictReport::default() };
        if self.stale {
            return unknown(Reason::Stale);
        }
        let all = self.layers.iter().flat_map(|layer| layer.triggers.iter().map(move |trigger| (layer, trigger)));
        let judged = all.map(|(layer, trigger)| (trigger.verdict(windows), layer, trigger));
        // Of equals the first one.
        let worst = judged.min_by_key(|(verdict, _, trigger)| (std::cmp::Reverse(*verdict), trigger.urgency()));
        let down = self.layers.iter().find_map(|layer| {
            let decides = |source: &Word<Source>| source.is(Source::Statfs) || source.is(Source::KubeletConfig);
            let source = layer.sources.iter().find(|source| !source.up && decides(&source.source))?;
            Some((layer, source))
        });
        match (worst, down) {
            (Some((verdict, layer, trigger)), _) if verdict > Verdict::Unknown => VerdictReport {
                status: verdict.into(),
                reason: Some(
                    if trigger.is_crossed() { Reason::TriggerCrossed } else { Reason::TriggerExpected }.into(),
                ),
                layer: Some(layer.layer.clone()),
                trigger: Some(trigger.trigger.clone()),
                source: None,
            },
            (_, Some((layer, source))) => VerdictReport {
                layer: Some(layer.layer.clone()),
                source: Some(source.source.clone()),
                ..unknown(Reason::SourceDown)
            },
            (None, None) => unknown(Reason::NoTrigger),
            (Some(_), None) => VerdictReport { status: Verdict::Ok.into(), ..VerdictReport::default() },
        }
    }
}

impl TriggerReport {
    /// By its level, and by when the kubelet acts on it. What has no forecast yet is judged by its level alone.
    pub fn verdict(&self, windows: Windows) -> Verdict {
        Verdict::of(self.headroom, self.median(), windows)
    }
}
