//! How users name a stream.

use std::fmt;
use std::str::FromStr;

use stream_types::{InvalidName, Name};

/// A stream, by its name or by its ARN (which reaches across accounts).
///
/// ```
/// use kinesis_source::StreamReference;
///
/// let by_arn: StreamReference = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders".parse()?;
/// let by_name: StreamReference = "orders".parse()?;
/// assert_eq!(by_arn.name(), by_name.name());
/// # Ok::<(), kinesis_source::InvalidStreamReference>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReference {
    name: Name,
    arn: Option<String>,
}

impl StreamReference {
    /// The stream's bare name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The stream's ARN, if it was given by one.
    #[must_use]
    pub fn arn(&self) -> Option<&str> {
        self.arn.as_deref()
    }

    /// The name argument of a request: absent where the ARN says it.
    pub(crate) fn name_argument(&self) -> Option<String> {
        self.arn.is_none().then(|| self.name.as_str().into())
    }

    /// The ARN argument of a request.
    pub(crate) fn arn_argument(&self) -> Option<String> {
        self.arn.clone()
    }
}

impl fmt::Display for StreamReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.arn.as_deref().unwrap_or(self.name.as_str()))
    }
}

impl FromStr for StreamReference {
    type Err = InvalidStreamReference;

    fn from_str(text: &str) -> Result<Self, InvalidStreamReference> {
        if !text.starts_with("arn:") {
            return Ok(Self { name: checked(text, text)?, arn: None });
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts[..] {
            ["arn", _, "kinesis", _, _, resource] if resource.starts_with("stream/") => {
                Ok(Self { name: checked(&resource["stream/".len()..], text)?, arn: Some(text.into()) })
            }
            _ => Err(InvalidStreamReference::NoStreamArn { text: text.chars().take(200).collect() }),
        }
    }
}

/// Names of streams are 1 to 128 letters, digits, and `_.-` (Kinesis API reference, `StreamName`).
fn checked(name: &str, text: &str) -> Result<Name, InvalidStreamReference> {
    let name = Name::new(name)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.as_str().len() > 128 || !name.as_str().bytes().all(allowed) {
        return Err(InvalidStreamReference::NoStreamName { text: text.chars().take(200).collect() });
    }
    Ok(name)
}

/// The text names no stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidStreamReference {
    /// It is empty, too long, or has control characters.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// It has characters that no stream name has.
    #[error("{text:?} is no stream name: it takes 1 to 128 letters, digits, and the characters _ . -")]
    NoStreamName {
        /// The refused text.
        text: String,
    },
    /// It is the ARN of something else.
    #[error("{text:?} is no stream's ARN: it takes arn:aws:kinesis:REGION:ACCOUNT:stream/NAME")]
    NoStreamArn {
        /// The refused text.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_streams_are_accepted() {
        for good in ["orders", "a.b_c-9", "arn:aws-cn:kinesis:cn-north-1:1:stream/orders"] {
            assert!(good.parse::<StreamReference>().is_ok(), "{good}");
        }
        let consumer = "arn:aws:kinesis:eu-west-1:1:stream/orders/consumer/x:1";
        for bad in ["", "a/b", "a b", "arn:aws:sqs:eu-west-1:1:orders", "arn:", consumer, &"a".repeat(129)] {
            assert!(bad.parse::<StreamReference>().is_err(), "{bad}");
        }
    }
}
