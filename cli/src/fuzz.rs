//! What people type, and worse: taken or refused, never a panic.
//!
//! The words of `corpus/words.txt` are kept; each run takes some of them, damages some, and mixes them with anything else.

use clap::Parser;
use kinesis_source::StreamReference;
use proptest::prelude::*;

use crate::arguments::Arguments;
use crate::duration;

/// A word of the corpus, as it is or damaged; or anything.
fn word() -> impl Strategy<Value = String> {
    let kept: Vec<&str> = include_str!("../corpus/words.txt").lines().collect();
    let kept = prop::sample::select(kept);
    let damaged = (kept.clone(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(word, place, character)| {
        let mut characters: Vec<char> = word.chars().collect();
        let place = place.index(characters.len().max(1));
        match u32::from(character) % 3 {
            0 => characters.truncate(place),
            1 => characters.insert(place.min(characters.len()), character),
            _ => characters.iter_mut().skip(place).take(1).for_each(|old| *old = character),
        }
        characters.into_iter().collect()
    });
    prop_oneof![4 => kept.prop_map(str::to_owned), 3 => damaged, 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_command_line_is_taken_or_refused(words in prop::collection::vec(word(), 0..12)) {
        let refused = Arguments::try_parse_from(std::iter::once("leasehold".to_owned()).chain(words)).err();
        // A refusal says something.
        prop_assert!(refused.is_none_or(|error| !error.to_string().is_empty()));
    }

    #[test]
    fn any_duration_stream_or_table_is_taken_or_refused(text in word()) {
        let duration = duration::parse(&text);
        prop_assert!(duration.is_err() || text.ends_with(['s', 'm']));
        if let Ok(stream) = text.parse::<StreamReference>() {
            prop_assert!(text.ends_with(stream.name().as_str()), "{} is not in {}", stream.name(), text);
        }
        #[cfg(feature = "dynamodb")]
        prop_assert!(!crate::leases::dynamodb::is_address(&text) || text.starts_with("dynamodb://"));
    }
}
