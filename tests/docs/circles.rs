//! Files of one crate form no circle: who reads one file need not know those that build upon it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module by its path in the crate: `["supervisor", "script"]`.
type Name = Vec<String>;

/// The source of every module, without comments, texts and unit tests.
fn modules(folder: &Path, name: &Name, found: &mut BTreeMap<Name, String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut own = name.clone();
        if !matches!(stem.as_str(), "mod" | "lib") {
            own.push(stem.clone());
        }
        if path.is_dir() {
            modules(&path, &own, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && stem != "tests" {
            found.insert(own, code(&fs::read_to_string(&path).unwrap()));
        }
    }
}

fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
}

/// The paths of `use a::{b, c::d}`: `a::b`, `a::c::d`.
fn leaves(import: &str) -> Vec<String> {
    let import = import.trim();
    let Some((start, rest)) = import.split_once('{') else {
        return vec![import.split(" as ").next().unwrap_or_default().replace(' ', "")];
    };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, sign) in inside.char_indices().chain([(inside.len(), ',')]) {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.extend(leaves(&inside[from..at]).iter().map(|leaf| format!("{}{leaf}", start.trim())));
                from = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// What a module imports, and whether it makes it its own (`pub use`); then the other paths that
/// begin at a module.
fn paths(code: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut rest = String::new();
    for statement in code.split(';') {
        // Nothing follows an import in its statement.
        let Some(at) = statement.rfind("use ").filter(|at| *at == 0 || statement[..*at].ends_with(' '))
        else {
            rest.push_str(statement);
            continue;
        };
        let before = &statement[..at];
        let is_public = before.trim_end().rsplit(' ').next().unwrap_or_default().starts_with("pub");
        found.extend(leaves(&statement[at + 4..]).into_iter().map(|path| (path, is_public)));
        rest.push_str(before);
    }
    let words = rest.split(|sign: char| !sign.is_alphanumeric() && !matches!(sign, '_' | ':'));
    let paths =
        words.filter(|word| ["crate::", "super::", "self::"].iter().any(|start| word.starts_with(start)));
    found.extend(paths.map(|path| (path.trim_end_matches(':').to_string(), false)));
    found
}

struct Crate {
    code: BTreeMap<Name, String>,
    /// By the module that has it and the name that it has there: where it comes from.
    public: BTreeMap<(Name, String), String>,
}

impl Crate {
    fn read(folder: &Path) -> Crate {
        let mut code = BTreeMap::new();
        modules(folder, &Vec::new(), &mut code);
        let mut public = BTreeMap::new();
        for (module, text) in &code {
            for (path, _) in paths(text).into_iter().filter(|(_, is_public)| *is_public) {
                let name = path.rsplit("::").next().unwrap_or_default().to_string();
                public.insert((module.clone(), name), path);
            }
        }
        Crate { code, public }
    }

    /// The module that a path of this module leads into; `None` for those of other crates.
    fn target(&self, module: &Name, path: &str, turns: usize) -> Option<Name> {
        let mut parts: Vec<&str> = path.split("::").collect();
        let mut at = module.clone();
        let is_child = self.code.contains_key(&[&module[..], &[parts[0].to_string()]].concat());
        match parts[0] {
            "crate" => at = Vec::new(),
            "self" | "super" => {}
            _ if is_child => parts.insert(0, "self"),
            _ => return None,
        }
        for part in &parts {
            match *part {
                "crate" | "self" => continue,
                "super" => at.truncate(at.len().checked_sub(1)?),
                name => {
                    at.push(name.to_string());
                    if self.code.contains_key(&at) {
                        continue;
                    }
                    at.pop();
                    return match self.public.get(&(at.clone(), name.to_string())) {
                        Some(from) if turns > 0 => self.target(&at, from, turns - 1),
                        _ => Some(at),
                    };
                }
            }
        }
        Some(at)
    }

    /// Which modules each names, but for those that it is in and those that are in it: a folder's
    /// `mod.rs` has the type that its files are the parts of.
    fn graph(&self) -> BTreeMap<&Name, BTreeSet<Name>> {
        let named = |module: &Name, text: &str| {
            let targets = paths(text).into_iter().filter_map(|(path, _)| self.target(module, &path, 8));
            targets.filter(|target| !target.starts_with(module) && !module.starts_with(target)).collect()
        };
        self.code.iter().map(|(module, text)| (module, named(module, text))).collect()
    }
}

/// Whom one reaches from there.
fn reached(graph: &BTreeMap<&Name, BTreeSet<Name>>, from: &Name) -> BTreeSet<Name> {
    let mut found = BTreeSet::new();
    let mut open = vec![from.clone()];
    while let Some(next) = open.pop() {
        for target in graph.get(&next).into_iter().flatten() {
            if found.insert(target.clone()) {
                open.push(target.clone());
            }
        }
    }
    found
}

#[test]
fn files_form_no_circle() {
    // A process knows whose it is, and a script which process it has.
    let known = ["supervisor::process", "supervisor::script"];
    for (folder, least) in [("src", 300), ("worker/src", 50), ("plugin-abi/src", 20)] {
        let sources = Crate::read(&super::root().join(folder));
        let graph = sources.graph();
        let edges: usize = graph.values().map(BTreeSet::len).sum();
        assert!(edges >= least, "{folder}: only {edges} imports were found");
        let in_circles = graph.keys().filter(|module| reached(&graph, module).contains(**module));
        let in_circles: Vec<String> = in_circles.map(|module| module.join("::")).collect();
        let expected = if folder == "src" { &known[..] } else { &[] };
        assert_eq!(in_circles, expected, "modules of {folder} that form circles");
    }
}
