//! Tests of the decisions, by module.
