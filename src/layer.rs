//! What is a layer called, and of what kind is it? Names only; how layers are found is in `discover/`.

use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The path-like name of a layer: `host`, `host/<namespace>/<pod>`, `host/<namespace>/<pod>/<container>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct LayerId(String);

/// What a layer is, as far as it can be told from what runs in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// The machine itself.
    Host,
    /// A dockerd inside a container of another layer.
    Dind,
    /// A Kubernetes node as a container, bootstrapped by Cluster API's Docker provider.
    CapdNode,
    /// A Kubernetes node as a container, made by kind.
    KindNode,
    /// A k3s node as a container, made by k3d.
    K3dNode,
    /// A runtime in a container of which no more is known.
    NodeContainer,
}

impl LayerId {
    /// The outermost layer.
    pub fn host() -> Self {
        Self("host".to_owned())
    }

    /// A layer below this one; slashes in the parts are replaced so that the depth cannot be forged.
    #[must_use]
    pub fn child(&self, parts: &[&str]) -> Self {
        let mut id = self.0.clone();
        for part in parts {
            id.push('/');
            id.push_str(&Label::new(part).as_str().replace('/', "\u{FFFD}"));
        }
        Self(id)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text from a file or the command line: made printable, otherwise as given.
impl From<String> for LayerId {
    fn from(text: String) -> Self {
        // Three levels of names of 253 characters each; Label would cut that.
        Self(text.split('/').take(16).map(|part| Label::new(part).as_str().to_owned()).collect::<Vec<_>>().join("/"))
    }
}

impl From<&str> for LayerId {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<LayerId> for String {
    fn from(id: LayerId) -> Self {
        id.0
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl LayerKind {
    /// The value of the `kind` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Dind => "dind",
            Self::CapdNode => "capd_node",
            Self::KindNode => "kind_node",
            Self::K3dNode => "k3d_node",
            Self::NodeContainer => "node_container",
        }
    }
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_slashes_stays_one_level() {
        let id = LayerId::host().child(&["test-pods", "../../evil"]);
        assert_eq!(id.as_str(), "host/test-pods/..\u{FFFD}..\u{FFFD}evil");
    }
}
