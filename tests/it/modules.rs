//! Which module of the source uses which? Read by a Rust parser: every path of every `use`, expression, type, pattern and macro,
//! wherever it stands, but for what is under `#[cfg(test)]`. A name that a module only passes on counts as its owner's.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, UseTree};

/// A module, as `model::victims`. The crate itself is the empty one.
pub(crate) type Module = String;

/// The modules of a source tree and what each uses.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// The modules that each one uses, itself apart.
    pub(crate) uses: BTreeMap<Module, BTreeSet<Module>>,
    /// Every path that each one names, as it is written.
    pub(crate) paths: BTreeMap<Module, BTreeSet<String>>,
}

/// One parsed file.
struct Source {
    module: Module,
    syntax: File,
}

impl Graph {
    /// Reads every file below `root`, tests and main.rs apart.
    pub(crate) fn read(root: &Path) -> Self {
        let mut sources = Vec::new();
        collect(root, root, &mut sources);
        Self::build(&sources)
    }

    /// Of modules that are given as text.
    pub(crate) fn of(texts: &[(&str, &str)]) -> Self {
        let source = |(module, text): &(&str, &str)| Source {
            module: (*module).to_owned(),
            syntax: syn::parse_file(text).unwrap(),
        };
        Self::build(&texts.iter().map(source).collect::<Vec<_>>())
    }

    fn build(sources: &[Source]) -> Self {
        let exports = sources.iter().map(|source| (source.module.clone(), exports(source))).collect();
        let mut graph = Self::default();
        for source in sources {
            let mut paths = Paths::default();
            paths.visit_file(&source.syntax);
            let used = paths.found.iter().filter_map(|path| absolute(&source.module, path, &exports));
            let used = used.map(|path| resolve(&path, &exports, 0)).filter(|used| *used != source.module);
            graph.uses.insert(source.module.clone(), used.collect());
            let written = paths.found.iter().map(|path| path.join("::")).collect();
            graph.paths.insert(source.module.clone(), written);
        }
        graph
    }

    /// The folders, the root among them as the empty one.
    pub(crate) fn folders(&self) -> BTreeSet<Module> {
        let folders = self.uses.keys().map(|module| module.rsplit_once("::").map_or("", |(folder, _)| folder));
        folders.map(str::to_owned).collect()
    }

    /// What lies directly in `folder`, files and folders as a whole, and what of it each uses. The folder's own mod.rs is one of
    /// them, as `mod`.
    pub(crate) fn inside(&self, folder: &str) -> BTreeMap<String, BTreeSet<String>> {
        let room = |module: &str| -> Option<String> {
            if module == folder {
                return Some("mod".to_owned());
            }
            let rest = if folder.is_empty() { module } else { module.strip_prefix(folder)?.strip_prefix("::")? };
            rest.split("::").next().map(str::to_owned)
        };
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (user, used) in &self.uses {
            let Some(user) = room(user) else { continue };
            let used = used.iter().filter_map(|used| room(used)).filter(|used| *used != user);
            edges.entry(user.clone()).or_default().extend(used);
        }
        edges
    }

    /// The cycles of every folder, a line for each.
    pub(crate) fn cycles(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for folder in self.folders() {
            let edges = self.inside(&folder);
            for cycle in cycles(&edges) {
                let uses = cycle.iter().flat_map(|user| edges[user].iter().map(move |used| (user, used)));
                let uses =
                    uses.filter(|(_, used)| cycle.contains(used)).map(|(user, used)| format!("{user} -> {used}"));
                lines.push(format!("src/{}: {}", folder.replace("::", "/"), uses.collect::<Vec<_>>().join(", ")));
            }
        }
        lines
    }
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).unwrap().to_owned();
            let mut names: Vec<String> =
                relative.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
            if names.last().is_some_and(|name| name == "mod" || name == "lib" || name == "main") {
                names.pop();
            }
            let is_test = names.last().is_some_and(|name| name.ends_with("tests"));
            if relative.as_os_str() != "main.rs" && !is_test {
                let syntax = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
                sources.push(Source { module: names.join("::"), syntax });
            }
        }
    }
    if folder != root {
        return;
    }
    // A file that is a module in tests only is declared so by its parent.
    let tests: BTreeSet<Module> = sources
        .iter()
        .flat_map(|source| {
            source.syntax.items.iter().filter_map(|item| match item {
                Item::Mod(module) if module.content.is_none() && is_test(&module.attrs) => {
                    Some(join(&source.module, &module.ident.to_string()))
                }
                _ => None,
            })
        })
        .collect();
    sources.retain(|source| !tests.iter().any(|test| within(&source.module, test)));
}

/// Whether a module is another or inside it.
fn within(module: &str, outer: &str) -> bool {
    module == outer || module.strip_prefix(outer).is_some_and(|rest| rest.starts_with("::"))
}

fn join(module: &str, name: &str) -> Module {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

/// What a module says about names: its child modules, and what it passes on.
#[derive(Debug, Default)]
struct Exports {
    children: BTreeSet<String>,
    /// A name and the path that it stands for, as it was written.
    imports: BTreeMap<String, Vec<String>>,
}

fn exports(source: &Source) -> Exports {
    let mut exports = Exports::default();
    for item in &source.syntax.items {
        match item {
            Item::Mod(module) if module.content.is_none() && !is_test(&module.attrs) => {
                exports.children.insert(module.ident.to_string());
            }
            Item::Use(item) if !is_test(&item.attrs) => {
                let mut found = Vec::new();
                flatten(&item.tree, &mut Vec::new(), &mut found);
                exports.imports.extend(found);
            }
            _ => {}
        }
    }
    exports
}

/// The names that a `use` brings, each with its whole path.
fn flatten(tree: &UseTree, prefix: &mut Vec<String>, found: &mut Vec<(String, Vec<String>)>) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, found);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            found.push((prefix.last().cloned().unwrap_or_default(), prefix.clone()));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            found.push((name.clone(), prefix.iter().cloned().chain([name]).collect()));
        }
        UseTree::Rename(rename) => {
            found.push((rename.rename.to_string(), prefix.iter().cloned().chain([rename.ident.to_string()]).collect()));
        }
        UseTree::Glob(_) => found.push(("*".to_owned(), prefix.clone())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, prefix, found)),
    }
}

/// Every path of a file that is not a test's.
#[derive(Default)]
struct Paths {
    found: Vec<Vec<String>>,
    /// How many modules around, within the file.
    depth: usize,
}

impl Paths {
    /// A path as it would be written at the top of the file; one that does not lead out of a module within it is none.
    fn note(&mut self, path: Vec<String>) {
        let up = path.iter().take_while(|name| *name == "super").count();
        if up == 0 || up > self.depth {
            self.found.push(path.into_iter().skip(self.depth.min(up)).collect());
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::Type(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut found = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut found);
        for (_, path) in found {
            self.note(path);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.depth += 1;
        visit::visit_item_mod(self, item);
        self.depth -= 1;
    }

    /// `pub(super)` uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.note(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    /// What a macro is given: `format!("{}", super::report(x))`, `matches!(x, crate::a::B)`.
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.visit_path(&item.path);
        let mut found = Vec::new();
        tokens(item.tokens.clone(), &mut found);
        for path in found {
            self.note(path);
        }
    }
}

/// The paths among tokens: words joined by `::`.
fn tokens(stream: TokenStream, found: &mut Vec<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    for token in stream {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    found.push(std::mem::take(&mut path));
                }
                path.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Group(group) => {
                found.push(std::mem::take(&mut path));
                colons = 0;
                tokens(group.stream(), found);
            }
            _ => {
                found.push(std::mem::take(&mut path));
                colons = 0;
            }
        }
    }
    found.push(path);
    found.retain(|path| !path.is_empty());
}

/// A path from the root of the crate, or nothing for one that leads out of it or to a local name.
fn absolute(module: &str, path: &[String], exports: &BTreeMap<Module, Exports>) -> Option<Vec<String>> {
    let here = || module.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([here(), rest.to_vec()].concat()),
        "super" => {
            let mut base = here();
            base.pop();
            let mut rest = rest;
            while let Some((first, more)) = rest.split_first()
                && first == "super"
            {
                base.pop();
                rest = more;
            }
            Some([base, rest.to_vec()].concat())
        }
        child if exports.get(module)?.children.contains(child) => Some([here(), path.to_vec()].concat()),
        _ => None,
    }
}

/// The module where the last name of a path is defined: re-exports are followed to it.
fn resolve(path: &[String], exports: &BTreeMap<Module, Exports>, depth: usize) -> Module {
    let mut module = Module::new();
    for (at, name) in path.iter().enumerate() {
        let Some(known) = exports.get(&module) else { break };
        if known.children.contains(name) {
            module = join(&module, name);
            continue;
        }
        if let Some(import) = known.imports.get(name).filter(|_| depth < 8)
            && let Some(target) = absolute(&module, import, exports)
        {
            return resolve(&[&target, &path[at + 1..]].concat(), exports, depth + 1);
        }
        break;
    }
    module
}

/// The groups of nodes that reach each other.
fn cycles(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let mut reach: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in edges.keys() {
        let mut seen = BTreeSet::new();
        let mut open = vec![node.as_str()];
        while let Some(next) = open.pop() {
            for used in edges.get(next).into_iter().flatten() {
                if seen.insert(used.as_str()) {
                    open.push(used);
                }
            }
        }
        reach.insert(node, seen);
    }
    let mut groups: BTreeSet<Vec<String>> = BTreeSet::new();
    for (node, seen) in &reach {
        if seen.contains(node) {
            let group = seen.iter().filter(|other| reach.get(**other).is_some_and(|back| back.contains(node)));
            groups.insert(group.map(|name| (*name).to_owned()).collect());
        }
    }
    groups.into_iter().collect()
}
