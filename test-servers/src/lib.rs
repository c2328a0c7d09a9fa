//! Private servers for tests and measurements: started on free ports of loopback, with their data in folders of their own,
//! stopped and removed when dropped. A test may stop one, and start it again with the data that it had.
//!
//! Their programs are those on the machine, or are installed from the distribution's packages where that is possible.

mod certificate;
mod folder;
mod pgbouncer;
mod port;
mod postgres;
mod program;
mod redis;
mod small_disk;

pub use pgbouncer::PgBouncer;
pub use port::{free_port, wait_until_it_listens};
pub use postgres::Postgres;
pub use redis::Redis;
