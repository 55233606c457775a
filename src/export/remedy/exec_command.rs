//! By which command does one get a shell in a layer? Through kubectl into a pod of the node, and from there through docker.

use crate::export::shell::word;
use crate::export::view::{LayerView, View};
use crate::sample::RuntimeKind;
use crate::untrusted::Label;

/// Opens a shell in a layer. `None` for the node itself, deeper inside than a container in a pod, and where a name on the way cannot
/// be written down safely.
pub(super) fn exec_command(view: &View<'_>, layer: &LayerView<'_>) -> Option<String> {
    let around = parent(view, layer)?;
    if around.sample.runtime.as_ref().is_some_and(|runtime| runtime.kind == RuntimeKind::Docker) {
        let way = if around.sample.parent.is_none() { String::new() } else { into_pod(view, around)? + " " };
        // A second runtime in a container is called after both, which docker does not know.
        let name = Some(layer.short_name()).filter(|name| !name.contains(':'));
        let id = layer.sample.origin.container.as_ref().map(Label::as_str);
        return Some(format!("{way}docker exec -it {} bash", word(name.or(id)?)?));
    }
    Some(into_pod(view, layer)? + " bash")
}

/// Runs what follows in the pod that a layer lies in, if that is a pod of the node itself.
fn into_pod(view: &View<'_>, layer: &LayerView<'_>) -> Option<String> {
    let origin = &layer.sample.origin;
    let is_direct = parent(view, layer)?.sample.parent.is_none();
    let (namespace, pod) = (origin.pod_namespace.as_ref()?, origin.pod.as_ref().filter(|_| is_direct)?);
    Some(format!("kubectl --namespace {} exec -it {} --", word(namespace.as_str())?, word(pod.as_str())?))
}

fn parent<'v, 'a>(view: &'v View<'a>, layer: &LayerView<'_>) -> Option<&'v LayerView<'a>> {
    let id = layer.sample.parent.as_ref()?;
    view.layers.iter().find(|layer| layer.sample.id == *id)
}
