//! How sources look.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::root;

/// A file that is longer has more than one thing in it.
const LONGEST_FILE: usize = 400;

/// What is wrong with the sources, a sentence each.
pub(crate) fn broken() -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    collect(&root(), &mut files)?;
    files.sort();
    let mut broken = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        broken.extend(judge(&shown, &text));
    }
    Ok(broken)
}

/// All Rust sources of the workspace.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn judge(file: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut broken = Vec::new();
    if lines.len() > LONGEST_FILE {
        broken.push(format!(
            "{file}: {} lines are more than {LONGEST_FILE}: what can have a room of its own?",
            lines.len()
        ));
    }
    for (index, line) in lines.iter().enumerate() {
        let place = format!("{file}:{}", index + 1);
        let next = lines.get(index + 1).copied().unwrap_or_default();
        // The patterns are put together here, so that this file does not meet them itself.
        if line.contains(concat!("select", "! {")) && !next.contains("biased;") {
            broken.push(format!("{place}: a select without `biased` differs from run to run"));
        }
        if line.contains(concat!("unbounded", "_channel")) {
            broken.push(format!("{place}: a queue without a bound"));
        }
        if line.contains(concat!("```", "ignore")) {
            broken.push(format!("{place}: an example that is not compiled"));
        }
        let is_code = !line.trim_start().starts_with("//");
        if file.ends_with("src/lib.rs") && is_code && (line.contains("fn ") || line.starts_with("impl")) {
            broken.push(format!("{place}: lib.rs has only docs, modules and re-exports"));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_can_be_broken() {
        let select = concat!("    tokio::select", "! {\n        a = b => {}\n    }\n");
        assert_eq!(judge("x.rs", select).len(), 1);
        assert_eq!(judge("x.rs", &select.replace("{\n    ", "{\n    biased;")).len(), 0);
        assert_eq!(judge("x.rs", &"\n".repeat(401)).len(), 1);
        assert_eq!(judge("a/src/lib.rs", "pub fn act() {}\n").len(), 1);
        assert_eq!(judge("a/src/lib.rs", "/// fn\npub use act::act;\n").len(), 0);
    }
}
