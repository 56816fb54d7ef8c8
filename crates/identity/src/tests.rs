//! Tests of identity, by module.
