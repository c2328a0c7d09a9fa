//! What the keys of an application are called.

use stream_types::Name;

/// The names of an application's keys. All share one hash tag, so that a Cluster keeps them on one node.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) tag: String,
    pub(crate) leases: String,
    pub(crate) workers: String,
    pub(crate) channel: String,
}

impl Keys {
    pub(crate) fn new(application: &Name) -> Self {
        let mut tag = String::from("{leasehold:");
        for char in application.as_str().chars() {
            // A brace in a name would end the hash tag early, or make two names one.
            match char {
                '%' => tag.push_str("%25"),
                '{' => tag.push_str("%7B"),
                '}' => tag.push_str("%7D"),
                other => tag.push(other),
            }
        }
        tag.push('}');
        let key = |name: &str| format!("{tag}:{name}");
        Self { leases: key("leases"), workers: key("workers"), channel: key("hints"), tag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_braces_keep_their_keys_apart_and_in_one_slot() {
        let keys = |name: &str| Keys::new(&Name::new(name).unwrap());
        assert_eq!(keys("billing").leases, "{leasehold:billing}:leases");
        assert_eq!(keys("}a{b").tag, "{leasehold:%7Da%7Bb}");
        assert_ne!(keys("%7D").tag, keys("}").tag);
    }
}
