//! The cluster that a project is: one broker, which is its own controller.

use crate::apis::metadata;
use crate::apis::permitted;
use crate::call::{Call, NODE_ID};
use crate::errors;
use crate::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

/// Brokers, and not controllers, are asked about (KIP-919).
const BROKERS: i8 = 1;

pub async fn describe(call: &Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if call.version >= 1 && request.endpoint_type != BROKERS {
        return DescribeClusterResponse {
            error_code: errors::INVALID_REQUEST,
            error_message: Some("only brokers can be asked about".to_owned()),
            ..DescribeClusterResponse::default()
        };
    }
    let told = match request.include_cluster_authorized_operations {
        true => permitted::on_cluster(call),
        false => permitted::UNASKED,
    };
    let broker = metadata::broker(call);
    let (broker_id, host, port) = (broker.node_id, broker.host, broker.port);
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: call.who.project().to_string(),
        controller_id: NODE_ID,
        cluster_authorized_operations: told,
        brokers: vec![DescribeClusterBroker { broker_id, host, port, ..Default::default() }],
        ..DescribeClusterResponse::default()
    }
}
