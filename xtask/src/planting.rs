//! A copy of the sources, for faults to be planted in. Nothing of them is in the sources themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{cargo, output_of, root, target};

/// A fault, and where it is planted.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    /// What stands there, and what takes its place.
    pub(crate) before: &'static str,
    pub(crate) after: &'static str,
}

/// The copy, of all files that git knows or would add.
pub(crate) struct SourceCopy {
    folder: PathBuf,
}

impl Fault {
    /// The source with the fault in it.
    fn planted_in(&self, source: &str) -> Result<String, String> {
        if !source.contains(self.before) {
            return Err(format!("{:?} cannot be planted: {} has changed", self.name, self.file));
        }
        Ok(source.replacen(self.before, self.after, 1))
    }
}

impl SourceCopy {
    /// Copies the sources as they are now.
    pub(crate) fn new() -> Result<Self, String> {
        let folder = target().join("planted");
        let files = output_of(Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
        for file in files.lines().filter(|file| root().join(file).is_file()) {
            let to: PathBuf = folder.join(file);
            fs::create_dir_all(to.parent().unwrap_or(&folder)).map_err(|error| error.to_string())?;
            fs::copy(root().join(file), &to).map_err(|error| format!("{file}: {error}"))?;
        }
        Ok(Self { folder })
    }

    /// What that tells of the copy with that fault in it. Afterwards the copy is as it was.
    pub(crate) fn with<Told>(
        &self,
        fault: &Fault,
        tell: impl FnOnce(&Self) -> Result<Told, String>,
    ) -> Result<Told, String> {
        let path = self.folder.join(fault.file);
        let original = read(&path)?;
        write(&path, &fault.planted_in(&original)?)?;
        let told = tell(self);
        write(&path, &original)?;
        told
    }

    /// Cargo on the copy, which has a target folder of its own.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = cargo(arguments);
        command.current_dir(&self.folder).env("CARGO_TARGET_DIR", self.target()).env("RUSTFLAGS", "--cap-lints allow");
        command
    }

    /// Where that cargo puts what it builds.
    pub(crate) fn target(&self) -> PathBuf {
        target().join("planted-target")
    }
}

/// What a program prints, however it ends: it fails when it finds something.
pub(crate) fn told_by(program: &mut Command) -> Result<String, String> {
    let output = program.stdin(Stdio::null()).stderr(Stdio::null()).output().map_err(|error| error.to_string())?;
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings;
    use crate::plant::FAULTS;

    /// Else the chores that plant them would only be found broken by whoever needs them.
    #[test]
    fn every_fault_has_its_place_in_the_sources() {
        for fault in FAULTS.iter().chain(findings::all().map(|finding| &finding.undone)) {
            let source = read(&root().join(fault.file)).unwrap();
            assert_ne!(fault.planted_in(&source).unwrap(), source, "{}", fault.name);
        }
    }
}
