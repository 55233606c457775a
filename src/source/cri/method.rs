//! Which calls are made?

/// The calls that are made; all of them only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// What the runtime is.
    Version,
    /// Whether it works, and its settings.
    Status,
    /// What its images use, in its own words.
    ImageFsInfo,
    /// Pods.
    ListPodSandbox,
    /// Containers in every state.
    ListContainers,
    /// Images.
    ListImages,
}
