//! The settings of one kubelet, from its arguments and the files that they name.

use super::drop_ins::DropIns;
use super::file::{self, label, located};
use super::flags::Flags;
use super::{arguments, k3s, static_pods};
use crate::access::root::Root;
use crate::discover::Carrier;
use crate::discover::parse::flag;
use crate::sample::{Absence, AbsenceReason, KubeletConfig, SettingsFile};
use crate::untrusted::Label;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A kubelet's file is a few KiB; 1 MiB is what an object in etcd may have.
const MAX_FILE_BYTES: usize = 1 << 20;
/// openshift/microshift `pkg/node/kubelet.go`: written anew at every start.
const MICROSHIFT: &str = "/var/lib/microshift/resources/kubelet/config/config.yaml";

/// How a process that runs a kubelet was started.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// The program that carries the kubelet's code.
    pub carrier: Carrier,
    /// Its arguments, the program first.
    pub argv: &'a [String],
    /// Its working directory as it sees it: relative paths start there.
    pub cwd: Option<&'a Path>,
    /// Its environment variables; `None` where they cannot be read.
    pub environment: Option<&'a BTreeMap<String, String>>,
}

/// What the program tells its kubelet.
#[derive(Debug, Default)]
struct Told {
    flags: Flags,
    /// A file beside `--config`: it counts, and brings no default thresholds with it.
    drop_in: Option<String>,
}

/// Reads what a kubelet was told; `root` is the root directory of its process. `None`: this process runs no kubelet, although it could.
///
/// A drop-in, or a value, that cannot be understood costs itself and is named in `problems`.
///
/// # Errors
/// The arguments, or a file that they name, cannot be read: gone, denied, not a regular file, above 1 MiB, or no
/// KubeletConfiguration. Without it nothing certain can be said: it decides for one whether there are default thresholds.
pub fn read(root: &Root, invocation: &Invocation<'_>) -> Result<Option<KubeletConfig>, Absence> {
    let cwd = invocation.cwd;
    let Some(Told { mut flags, drop_in }) = told(root, invocation)? else { return Ok(None) };
    let mut problems = std::mem::take(&mut flags.problems);
    let file = match &flags.config {
        Some(path) => Some(config_file(root, &absolute(path, cwd)?, &mut problems)?),
        None => None,
    };
    let mut drop_ins = DropIns::default();
    if let Some(directory) = &flags.config_dir {
        drop_ins = DropIns::read(root, &absolute(directory, cwd)?);
    }
    if let Some(absence) = drop_ins.unread {
        return Err(absence);
    }
    problems.append(&mut drop_ins.problems);
    if let Some(path) = drop_in {
        drop_ins.files.push(config_file(root, &absolute(&path, cwd)?, &mut problems)?);
    }
    let root_dir = flags.root_dir.as_deref().unwrap_or(KubeletConfig::DEFAULT_ROOT_DIR);
    let root_dir = absolute(root_dir, cwd).map_or_else(|_| root_dir.into(), |path| label(&path));
    let paths = file.iter().chain(&drop_ins.files).map(|file| Path::new(file.path.as_str()));
    // One that is gone by now, or whose name is too long for a label, has no time.
    let modified_at = paths.filter_map(|path| root.modified(path).ok()).max();
    let mut config = KubeletConfig {
        flags: flags.settings,
        file,
        drop_ins: drop_ins.files,
        root_dir,
        never_pulled: Vec::new(),
        modified_at,
        problems,
    };
    if let Some(path) = config.static_pod_path().and_then(|path| absolute(path, cwd).ok()) {
        config.never_pulled = static_pods::never_pulled(root, &path);
    }
    Ok(Some(config))
}

/// The flags of the kubelet's code, wherever its program has them.
fn told(root: &Root, invocation: &Invocation<'_>) -> Result<Option<Told>, Absence> {
    let &Invocation { carrier, argv, cwd, environment } = invocation;
    if argv.is_empty() {
        return Err(Absence::new(AbsenceReason::Denied, "the arguments of the kubelet cannot be read"));
    }
    let with = |flags| Some(Told { flags, drop_in: None });
    Ok(match carrier {
        Carrier::Kubelet => with(Flags::parse(argv.iter().skip(1).map(String::as_str))),
        Carrier::K3s => {
            let started = k3s::started(root, argv, environment)?;
            started.runs.then_some(Told { flags: started.flags, drop_in: started.drop_in })
        }
        Carrier::Kubelite => {
            let unknown =
                || Absence::new(AbsenceReason::NotRead, "kubelite does not say where its kubelet's arguments are");
            let path = absolute(flag(argv, &["kubelet-args-file"]).ok_or_else(unknown)?, cwd)?;
            let content = root.read_file(&path, MAX_FILE_BYTES)?;
            let malformed = |text: &str| Absence::new(AbsenceReason::Malformed, located(&label(&path), text).as_str());
            let text = std::str::from_utf8(&content).map_err(|_| malformed("not UTF-8"))?;
            let words = arguments::words(text, environment).map_err(malformed)?;
            with(Flags::parse(words.iter().map(String::as_str)))
        }
        // It loads the file by itself, and not by the kubelet's command, which is what fills in default thresholds.
        Carrier::Microshift => Some(Told { flags: Flags::default(), drop_in: Some(MICROSHIFT.to_owned()) }),
        Carrier::Other => {
            let text = "this process serves as a kubelet does; where such a program keeps its settings is not known";
            return Err(Absence::new(AbsenceReason::NotRead, text));
        }
    })
}

fn config_file(root: &Root, path: &Path, problems: &mut Vec<Label>) -> Result<SettingsFile, Absence> {
    let name = label(path);
    let content = root.read_file(path, MAX_FILE_BYTES)?;
    let parsed = file::parse(&content)
        .map_err(|error| Absence::new(AbsenceReason::Malformed, located(&name, &error.to_string()).as_str()))?;
    if !parsed.is_kubelet_configuration {
        let text = located(&name, "not a KubeletConfiguration (apiVersion, kind)");
        return Err(Absence::new(AbsenceReason::Malformed, text.as_str()));
    }
    problems.extend(parsed.problems.iter().map(|text| located(&name, text)));
    Ok(SettingsFile { path: name, settings: parsed.settings })
}

/// A path as the kubelet resolves it. Links and dots are left to the root, which keeps them inside.
fn absolute(path: &str, cwd: Option<&Path>) -> Result<PathBuf, Absence> {
    let path = Path::new(path);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    cwd.map(|cwd| cwd.join(path)).ok_or_else(|| {
        Absence::new(AbsenceReason::Failed, format!("{} is relative to an unknown directory", path.display()))
    })
}

#[cfg(test)]
mod tests;
