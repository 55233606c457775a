//! By which command does one get a shell in a layer? Through kubectl into a pod of the node, and from there through docker.

use super::shell::word;
use crate::layer::LayerId;
use crate::report::Text;
use crate::report::conclude::join::{Joined, Layer};
use crate::sample::RuntimeKind;
use crate::untrusted::Label;

/// Opens a shell in a layer. `None` for the node itself, deeper inside than a container in a pod, and where a name on the way cannot
/// be written down safely.
pub(super) fn exec_command(joined: &Joined<'_>, layer: &Layer<'_>) -> Option<Text> {
    let around = parent(joined, layer)?;
    if around.sample.runtime.as_ref().is_some_and(|runtime| runtime.kind == RuntimeKind::Docker) {
        let way = if around.sample.parent.is_none() { String::new() } else { into_pod(joined, around)? + " " };
        // A second runtime in a container is called after both, which docker does not know.
        let name = Some(short_name(layer)).filter(|name| !name.contains(':'));
        let id = layer.sample.origin.container.as_ref().map(Label::as_str);
        return Some(format!("{way}docker exec -it {} bash", word(name.or(id)?)?).into());
    }
    Some((into_pod(joined, layer)? + " bash").into())
}

/// Runs what follows in the pod that a layer lies in, if that is a pod of the node itself.
fn into_pod(joined: &Joined<'_>, layer: &Layer<'_>) -> Option<String> {
    let origin = &layer.sample.origin;
    let is_direct = parent(joined, layer)?.sample.parent.is_none();
    let (namespace, pod) = (origin.pod_namespace.as_ref()?, origin.pod.as_ref().filter(|_| is_direct)?);
    Some(format!("kubectl --namespace {} exec -it {} --", word(namespace.as_str())?, word(pod.as_str())?))
}

fn parent<'j, 'a>(joined: &'j Joined<'a>, layer: &Layer<'_>) -> Option<&'j Layer<'a>> {
    joined.layer(layer.sample.parent.as_ref()?)
}

/// The part of its name that its parent's does not have.
fn short_name<'l>(layer: &'l Layer<'_>) -> &'l str {
    let parent = layer.sample.parent.as_ref().map_or("", LayerId::as_str);
    layer.name.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/')).unwrap_or(&layer.name)
}
