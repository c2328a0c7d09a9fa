//! The programs of the servers, and who may run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs a program to its end, quietly.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = output.map_err(|error| format!("{shown} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{shown} ended with {}: {}", output.status, said.lines().last().unwrap_or("without a word")))
}

/// Looks for a program, and if it is not there, installs the package that has it, where this user may.
pub(crate) fn found_or_installed(package: &str, find: impl Fn() -> Option<PathBuf>) -> Result<PathBuf, String> {
    if let Some(program) = find() {
        return Ok(program);
    }
    if !is_root()? {
        return Err(format!("{package} is not on this machine, and only root can install it"));
    }
    println!("== installing {package}");
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends", package]).env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut install)?;
    find().ok_or_else(|| format!("{package} was installed, but has not the program that is needed"))
}

/// The program of that name in the folders where the shell would look.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

pub(crate) fn is_root() -> Result<bool, String> {
    let id = Command::new("id").arg("-u").output().map_err(|error| format!("id cannot be run: {error}"))?;
    Ok(id.stdout.starts_with(b"0\n"))
}

/// A command that runs as this user or, for root, as the user that the distribution made for it.
pub(crate) fn as_user(user: &str, program: &Path) -> Result<Command, String> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]).arg(program);
    Ok(command)
}
