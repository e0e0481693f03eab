//! The chaining setters of the config structs.

/// One setter a field, of the same name; what it means, its unit and its default stand at the
/// field. An argument may be `impl Into<_>` of the field's type.
macro_rules! setters {
    ($config:ident { $($name:ident: $argument:ty),* $(,)? }) => {
        impl $config {
            $(
                #[doc = concat!("Sets [`", stringify!($name), "`](Self#structfield.", stringify!($name), ").")]
                #[must_use]
                #[allow(clippy::useless_conversion, reason = "most arguments are of the field's own type")]
                pub fn $name(mut self, $name: $argument) -> Self {
                    self.$name = $name.into();
                    self
                }
            )*
        }
    };
}

pub(crate) use setters;
