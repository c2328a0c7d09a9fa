//! The URL of a database, as a person writes it.

use std::str::FromStr;

use lease_core::{StoreError, StoreOperation};
use sqlx::postgres::PgConnectOptions;

use crate::error::store_error;

/// How to connect to the database at that URL.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    PgConnectOptions::from_str(url).map_err(|error| store_error(StoreOperation::Connect, error))
}

#[cfg(test)]
mod tests {
    use lease_core::StoreErrorKind;
    use proptest::prelude::*;

    use super::*;

    const PASSWORD: &str = "s3cr3t";

    /// A URL of the corpus, of which a part may be replaced by anything; or anything.
    fn url() -> impl Strategy<Value = String> {
        let kept: Vec<&str> = include_str!("../corpus/urls.txt").lines().collect();
        let damaged =
            (prop::sample::select(kept), any::<[prop::sample::Index; 2]>(), ".{0,4}").prop_map(|(url, ends, new)| {
                let ends = ends.map(|end| end.index(url.len() + 1));
                let (start, end) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
                format!("{}{new}{}", &url[..start], &url[end..])
            });
        prop_oneof![9 => damaged, 1 => any::<String>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_url_is_taken_or_refused_without_telling_the_password(url in url()) {
            if let Err(error) = options(&url) {
                prop_assert_eq!(error.kind(), StoreErrorKind::Invalid);
                prop_assert!(!format!("{error} {error:?}").contains(PASSWORD), "{}", error);
            }
        }
    }

    #[test]
    fn the_corpus_has_urls_that_are_taken_and_such_as_are_refused() {
        let taken = |url: &&str| options(url).is_ok();
        let (taken, refused): (Vec<&str>, Vec<&str>) = include_str!("../corpus/urls.txt").lines().partition(taken);
        assert!(taken.len() >= 5 && refused.len() >= 4, "{taken:#?} {refused:#?}");
    }
}
