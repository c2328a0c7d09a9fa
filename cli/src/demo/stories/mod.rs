//! The stories that the demo can tell, one in each file.

pub(super) mod deploy;
pub(super) mod fleet;
pub(super) mod poison;
pub(super) mod reshard;
pub(super) mod zombie;
