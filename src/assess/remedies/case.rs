//! The layer that remedies are sought for, and what has to be known of it.

use crate::assess::{ImagesAssessment, LayerAssessment, Timeline};
use crate::model::GcPolicy;
use crate::model::prediction::Prediction;
use crate::sample::{FilesystemSample, KubeletSample, LayerSample, Sample, Space};
use crate::units::Bytes;

/// What is known of a layer that may lose images.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The sample that it is part of.
    pub sample: &'a Sample,
    /// The layer.
    pub layer: &'a LayerSample,
    /// What it means.
    pub assessment: &'a LayerAssessment,
    /// The past and the future of the filesystem of its images.
    pub timeline: Option<&'a Timeline>,
    /// What each trigger would delete.
    pub predictions: &'a [Prediction],
    /// Bytes that are assumed to be written first, and that the predictions count already.
    pub written: Bytes,
}

/// What has to be known for any conclusion.
pub(super) struct Known<'a> {
    pub(super) kubelet: &'a KubeletSample,
    pub(super) policy: &'a GcPolicy,
    pub(super) images: &'a ImagesAssessment,
    /// The filesystem of the images.
    pub(super) disk: &'a FilesystemSample,
    pub(super) space: &'a Space,
    /// Whether the kubelet's own directory lies on it as well.
    pub(super) same_filesystem: bool,
}

impl<'a> Known<'a> {
    pub(super) fn of(case: Case<'a>) -> Option<Self> {
        let id = *case.layer.imagefs.value()?;
        let disk = case.sample.filesystems.iter().find(|disk| disk.id == id)?;
        Some(Self {
            kubelet: case.layer.kubelet.as_ref()?,
            policy: case.assessment.policy.as_ref()?,
            images: case.assessment.images.as_ref()?,
            disk,
            space: disk.space.value()?,
            same_filesystem: case.layer.nodefs.value() == Some(&id),
        })
    }
}
