//! Which fields of the CRI's messages are read? A hand-kept subset of `runtime.v1`, with the field numbers of
//! `k8s.io/cri-api pkg/apis/runtime/v1/api.proto` (v0.37.2); fields that are not named here are skipped.
//!
//! Enumerations stay numbers, so that a value of the future is not an error. Requests are written by hand in `client.rs`.

use prost::Message;
use std::collections::BTreeMap;

/// VersionResponse.
#[derive(Clone, PartialEq, Message)]
pub(super) struct VersionResponse {
    #[prost(string, tag = "3")]
    pub(super) runtime_version: String,
}

/// StatusResponse.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusResponse {
    /// Only in answer to a verbose request; JSON by name.
    #[prost(btree_map = "string, string", tag = "2")]
    pub(super) info: BTreeMap<String, String>,
}

/// FilesystemUsage, field 1 of ImageFsInfoResponse.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FilesystemUsage {
    #[prost(message, optional, tag = "2")]
    pub(super) fs_id: Option<FilesystemIdentifier>,
    #[prost(message, optional, tag = "3")]
    pub(super) used_bytes: Option<UInt64Value>,
}

/// FilesystemIdentifier.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FilesystemIdentifier {
    #[prost(string, tag = "1")]
    pub(super) mountpoint: String,
}

/// UInt64Value.
#[derive(Clone, PartialEq, Message)]
pub(super) struct UInt64Value {
    #[prost(uint64, tag = "1")]
    pub(super) value: u64,
}

/// PodSandbox, field 1 of ListPodSandboxResponse.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PodSandbox {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<PodSandboxMetadata>,
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(super) labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "6")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// PodSandboxMetadata.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) uid: String,
    #[prost(string, tag = "3")]
    pub(super) namespace: String,
}

/// Container, field 1 of ListContainersResponse.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Container {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) pod_sandbox_id: String,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata: Option<ContainerMetadata>,
    #[prost(string, tag = "5")]
    pub(super) image_ref: String,
    #[prost(int32, tag = "6")]
    pub(super) state: i32,
    /// From Kubernetes 1.30 on.
    #[prost(string, tag = "10")]
    pub(super) image_id: String,
}

/// ContainerMetadata.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// Image, field 1 of ListImagesResponse.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Image {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) repo_tags: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub(super) repo_digests: Vec<String>,
    #[prost(uint64, tag = "4")]
    pub(super) size: u64,
    #[prost(bool, tag = "8")]
    pub(super) pinned: bool,
}
