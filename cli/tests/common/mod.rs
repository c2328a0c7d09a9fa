//! What the tests of the command share.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// `leasehold kinesis` as a process of its own; killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
}

/// Serves on a free port, with these further arguments.
pub(crate) fn kinesis(arguments: &[&str]) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.args(["kinesis", "--port", "0"]).args(arguments);
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the command runs");
    let mut first_line = String::new();
    let output = process.stdout.take().expect("its output is piped");
    BufReader::new(output).read_line(&mut first_line).expect("it says where it serves");
    let url = first_line.trim().rsplit(' ').next().expect("the line ends with the URL").to_owned();
    Server { process, url }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already needs no killing.
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}
