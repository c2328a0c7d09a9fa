//! kinesis-testing
