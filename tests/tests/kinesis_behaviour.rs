//! How Kinesis behaves, as named checks through the AWS SDK, run against our own endpoint, against `kinesis-local`
//! (which others wrote), and against any endpoint given by a variable.
//!
//! `cargo xtask test` starts `kinesis-local` and sets `LEASEHOLD_TEST_KINESIS_LOCAL`. Set `LEASEHOLD_TEST_ENDPOINT` to
//! run the checks against another endpoint; they create streams of their own there and delete them.

use tests::behaviour;
use tests::endpoints::{Target, run};

macro_rules! behaviours {
    ($($check:ident $(not on $gap:ident)?;)*) => {
        mod our_endpoint {
            $(#[test] fn $check() { super::run(super::Target::Ours, None, super::behaviour::$check); })*
        }
        mod kinesis_local {
            $(#[test] fn $check() {
                super::run(super::Target::KinesisLocal, None$(.or(super::gap(stringify!($gap))))?, super::behaviour::$check);
            })*
        }
        mod given_endpoint {
            $(#[test] fn $check() { super::run(super::Target::Given, None, super::behaviour::$check); })*
        }
    };
}

/// Why a check is not run on an endpoint that is known not to keep it.
fn gap(name: &str) -> Option<&'static str> {
    match name {
        "kinesis_local_no_write_limit" => Some("kinesis-local limits no writes"),
        "kinesis_local_no_read_limit" => Some("kinesis-local limits no reads"),
        other => unreachable!("{other} is no known gap"),
    }
}

behaviours! {
    a_new_stream_is_described;
    an_unknown_stream_is_not_found;
    a_stream_is_created_once;
    records_come_out_in_the_order_they_went_in;
    a_full_shard_refuses_records_one_by_one not on kinesis_local_no_write_limit;
    an_explicit_hash_key_chooses_the_shard;
    each_iterator_type_starts_where_it_says;
    a_limit_bounds_a_read_and_the_next_one_goes_on;
    a_read_brings_at_most_ten_mebibytes;
    a_closed_shard_gives_its_rest_then_ends_with_its_children;
    a_merged_shard_names_both_parents;
    shards_are_listed_in_pages;
    only_open_shards_are_there_at_latest;
    update_shard_count_keeps_the_lineage;
    a_stream_can_be_named_by_its_arn;
    a_sequence_number_of_no_record_is_refused;
    reads_beyond_five_a_second_are_refused not on kinesis_local_no_read_limit;
}
