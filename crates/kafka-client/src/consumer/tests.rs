//! Of what a fetch brings.
