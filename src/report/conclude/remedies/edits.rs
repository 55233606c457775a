//! How are settings written down: as lines of a kubelet's file, as its flags, or for CRI-O?

use crate::assess::remedies::{Change, Field};
use crate::model::Origin;
use crate::report::{Edit, Text};
use crate::untrusted::Label;

/// The changes by the place where they are written.
pub(super) fn edits(changes: &[Change]) -> Vec<Edit> {
    let mut places: Vec<&Origin> = Vec::new();
    for change in changes {
        if !places.contains(&&change.place) {
            places.push(&change.place);
        }
    }
    let edit = |place: &Origin| {
        let here: Vec<&Change> = changes.iter().filter(|change| change.place == *place).collect();
        let (path, lines) = match place {
            Origin::File(path) | Origin::DropIn(path) => (Some(path.clone()), yaml(&here)),
            Origin::Flag | Origin::Default | Origin::Assumed => (None, flags(&here)),
        };
        Edit { origin: Label::new(place.as_str()), path, lines: lines.into_iter().map(Text::from).collect() }
    };
    places.into_iter().map(edit).collect()
}

/// What a setting is called.
enum Name {
    /// By its field in a file, by its flag.
    Scalar(&'static str, &'static str),
    /// The same of a map, and its key.
    Entry(&'static str, &'static str, &'static str),
}

const fn name(field: Field) -> Name {
    const HARD: (&str, &str) = ("evictionHard", "--eviction-hard");
    match field {
        Field::HighThreshold => Name::Scalar("imageGCHighThresholdPercent", "--image-gc-high-threshold"),
        Field::LowThreshold => Name::Scalar("imageGCLowThresholdPercent", "--image-gc-low-threshold"),
        // There is no flag of it, so that it never stands among them.
        Field::MaximumAge => Name::Scalar("imageMaximumGCAge", "imageMaximumGCAge"),
        Field::EvictionHardMemory => Name::Entry(HARD.0, HARD.1, "memory.available"),
        Field::EvictionHard(signal) => Name::Entry(HARD.0, HARD.1, signal.as_str()),
        Field::EvictionSoft(signal) => Name::Entry("evictionSoft", "--eviction-soft", signal.as_str()),
    }
}

fn yaml(changes: &[&Change]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = None;
    for change in changes {
        match name(change.field) {
            Name::Scalar(field, _) => lines.push(format!("{field}: {}", change.value)),
            Name::Entry(map, _, key) => {
                if inside != Some(map) {
                    lines.push(format!("{map}:"));
                    inside = Some(map);
                }
                lines.push(format!("  {key}: {}", change.value));
            }
        }
    }
    lines
}

fn flags(changes: &[&Change]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut inside = None;
    for change in changes {
        match name(change.field) {
            Name::Scalar(_, flag) => lines.push(format!("{flag}={}", change.value)),
            Name::Entry(_, flag, key) => {
                let threshold = format!("{key}<{}", change.value);
                match lines.last_mut().filter(|_| inside == Some(flag)) {
                    Some(line) => line.extend([",", &threshold]),
                    None => lines.push(format!("{flag}={threshold}")),
                }
                inside = Some(flag);
            }
        }
    }
    lines
}

/// What CRI-O reads instead of a label on the image. The names are plain ones.
pub(super) fn pinned_images(names: &[String]) -> Edit {
    let list: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    Edit {
        origin: Label::new("file"),
        path: Some(Label::new("/etc/crio/crio.conf.d/50-pinned-images.conf")),
        lines: vec!["[crio.image]".into(), format!("pinned_images = [{}]", list.join(", ")).into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Signal;

    #[test]
    fn settings_are_written_where_they_stand() {
        let change =
            |field, value: &str, place: &Origin| Change { field, value: value.to_owned(), place: place.clone() };
        let file = Origin::File("/etc/kubelet.yaml".into());
        let changes = [
            change(Field::HighThreshold, "95", &Origin::Flag),
            change(Field::LowThreshold, "90", &file),
            change(Field::EvictionHardMemory, "100Mi", &file),
            change(Field::EvictionHard(Signal::NodefsAvailable), "3%", &file),
            change(Field::EvictionHard(Signal::ImagefsAvailable), "3%", &Origin::Flag),
            change(Field::EvictionHard(Signal::NodefsAvailable), "3%", &Origin::Flag),
            change(Field::EvictionSoft(Signal::ImagefsAvailable), "3%", &file),
        ];
        let edits = edits(&changes);
        let lines = |edit: &Edit| edit.lines.iter().map(Text::to_string).collect::<Vec<_>>();
        assert_eq!((edits[0].origin.as_str(), edits[0].path.as_ref()), ("flag", None));
        assert_eq!(
            lines(&edits[0]),
            ["--image-gc-high-threshold=95", "--eviction-hard=imagefs.available<3%,nodefs.available<3%"]
        );
        assert_eq!(edits[1].origin.as_str(), "file");
        assert_eq!(edits[1].path, Some("/etc/kubelet.yaml".into()));
        assert_eq!(
            lines(&edits[1]),
            [
                "imageGCLowThresholdPercent: 90",
                "evictionHard:",
                "  memory.available: 100Mi",
                "  nodefs.available: 3%",
                "evictionSoft:",
                "  imagefs.available: 3%",
            ]
        );
    }
}
