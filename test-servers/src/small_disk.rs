//! A disk that can be full.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::run;

/// A file system of its own in memory, mounted over a folder. Unmounted when dropped. Only root may mount one.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    pub(crate) fn over(folder: &Path, megabytes: u32) -> Result<Self, String> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]);
        run(mount.arg(folder))?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) -> Result<(), String> {
        let mut ballast = fs::File::create(self.ballast()).map_err(|error| error.to_string())?;
        let piece = vec![0; 64 * 1024];
        // The error is that the disk is full.
        while ballast.write_all(&piece).is_ok() {}
        Ok(())
    }

    /// Gives the room back.
    pub(crate) fn clear(&self) -> Result<(), String> {
        fs::remove_file(self.ballast()).map_err(|error| error.to_string())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What stays mounted is gone with the machine.
        let _unmounted = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}
