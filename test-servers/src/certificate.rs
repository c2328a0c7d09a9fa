//! A certificate for a server that requires encrypted connections.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{found_or_installed, in_path, run};

/// A self-signed certificate for this machine, and its key.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    pub(crate) fn new(folder: &Path) -> Result<Self, String> {
        let openssl = found_or_installed("openssl", || in_path("openssl"))?;
        let (certificate, key) = (Self::path_in(folder), folder.join("key.pem"));
        let mut request = Command::new(openssl);
        request.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        request.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]);
        // A server's certificate must not be that of an authority.
        request.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        run(request.arg("-keyout").arg(&key).arg("-out").arg(&certificate))?;
        Ok(Self { certificate, key })
    }

    pub(crate) fn path_in(folder: &Path) -> PathBuf {
        folder.join("certificate.pem")
    }
}
