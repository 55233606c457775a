//! Does the path of a kubelet's executable name its release? Only layouts whose directory is made of it: those of minikube, rke2
//! and Nix. Any other directory with a number in its name may be somebody's else.

use super::release::is_release;
use std::path::Path;

/// The release in the path of a kubelet that runs.
pub(super) fn release(executable: &Path) -> Option<String> {
    let path = executable.to_str()?;
    let found = if let Some(rest) = path.strip_prefix("/var/lib/minikube/binaries/") {
        // /var/lib/minikube/binaries/v1.31.0/kubelet
        rest.split('/').next()?.to_owned()
    } else if let Some(rest) = path.strip_prefix("/nix/store/") {
        // /nix/store/HASH-kubernetes-1.31.2/bin/kubelet
        let (_hash, name) = rest.split('/').next()?.split_once('-')?;
        format!("v{}", name.strip_prefix("kubernetes-")?)
    } else {
        // /var/lib/rancher/rke2/data/v1.31.2-rke2r1-HASH/bin/kubelet
        let rest = path.strip_prefix("/var/lib/rancher/rke2/data/")?;
        let (release, build) = rest.split('/').next()?.split_once("-rke2r")?;
        format!("{release}+rke2r{}", build.split('-').next()?)
    };
    Some(found).filter(|release| is_release(release))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_that_are_made_of_the_release_name_it() {
        let cases = [
            ("/var/lib/minikube/binaries/v1.31.0/kubelet", Some("v1.31.0")),
            ("/var/lib/rancher/rke2/data/v1.31.2-rke2r1-3c23f1e9d1d5/bin/kubelet", Some("v1.31.2+rke2r1")),
            ("/nix/store/0c7h5k6l1m2n3p4q5r6s7v8w9x0y1z2a-kubernetes-1.31.2/bin/kubelet", Some("v1.31.2")),
            ("/nix/store/0c7h5k6l1m2n3p4q5r6s7v8w9x0y1z2a-kubernetes-1.31.2/bin/kubelet (deleted)", Some("v1.31.2")),
            ("/nix/store/0c7h5k6l1m2n3p4q5r6s7v8w9x0y1z2a-hello-1.31.2/bin/kubelet", None),
            ("/var/lib/minikube/binaries/latest/kubelet", None),
            ("/opt/tools/v1.31.2/kubelet", None),
            ("/snap/kubelet/1031/kubelet", None),
            ("/usr/bin/kubelet", None),
            ("", None),
        ];
        for (path, release) in cases {
            assert_eq!(super::release(Path::new(path)).as_deref(), release, "{path}");
        }
    }
}
