//! What else there is to be had of a provider: its models, and embeddings.

use super::reply::Usage;

/// A model that a provider lists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// Its name, as a [`ModelKey`](crate::keyed::ModelKey) wants it.
    pub id: String,
    /// Who made it, where the provider says.
    pub owned_by: Option<String>,
    /// What it is for, where the provider says: `chat`, `embedder` and the like.
    pub kind: Option<String>,
}

impl Model {
    /// A model of this name.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), owned_by: None, kind: None }
    }
}

/// Texts as vectors.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Embeddings {
    /// One vector a text, in the order of the texts.
    pub vectors: Vec<Vec<f32>>,
    /// The model that made them, by the provider's name for it.
    pub model: Option<String>,
    /// How many tokens it took.
    pub usage: Usage,
}
