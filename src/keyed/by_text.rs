//! What a key that stands for its canonical text has in common with the text.

/// For a type with a field `text: Arc<str>` that says all there is to say, and a `parse`.
macro_rules! by_text {
    ($key:ident) => {
        impl $key {
            /// The canonical text, as `Display` shows it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.text
            }
        }

        // Only the text is hashed and compared; clones share it, and are then equal at a glance.
        impl PartialEq for $key {
            fn eq(&self, other: &Self) -> bool {
                self.text == other.text
            }
        }

        impl Eq for $key {}

        impl std::hash::Hash for $key {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.text.hash(state);
            }
        }

        impl PartialOrd for $key {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $key {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.text.cmp(&other.text)
            }
        }

        impl std::fmt::Display for $key {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.text)
            }
        }

        impl std::fmt::Debug for $key {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($key)).field(&self.text).finish()
            }
        }

        impl std::str::FromStr for $key {
            type Err = crate::keyed::KeyError;

            fn from_str(url: &str) -> Result<Self, Self::Err> {
                Self::parse(url)
            }
        }

        impl TryFrom<&str> for $key {
            type Error = crate::keyed::KeyError;

            fn try_from(url: &str) -> Result<Self, Self::Error> {
                Self::parse(url)
            }
        }
    };
}

pub(super) use by_text;
