//! kinesis-source
