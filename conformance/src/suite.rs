//! The table of cases: which case runs on which backend, and which of them on every runtime.
//!
//! [`suite!`](crate::suite) names the groups that each backend gets, `__cases!` the cases in each
//! group. Nothing else decides what runs, and each test program compares what it runs with this
//! file (`table.rs`).
//!
//! # Which cases run on every runtime
//!
//! One runtime runs every case on every backend. A *further* runtime runs the cases that could have
//! another outcome there. Two marks in the table choose them:
//!
//! * In `__cases!`, brackets behind each file name what the cases depend on of a runtime. A case
//!   without a mark depends on nothing: it checks bytes, values, options or replies, which core and
//!   the client make without a runtime. It does not run on further runtimes.
//!
//! | mark | the case depends on | |---|---| | `io` | sockets: dialling, names, partial reads and
//!   writes, connections that break, much data | | `time` | timers: deadlines, backoff, waits that
//!   end, expiry while the runtime waits | | `tasks` | tasks that run beside each other, wakers,
//!   futures that are dropped | | `lifecycle` | connect and disconnect, and what they start and end
//!   |
//!
//! * In `suite!`, each backend has the way on which a runtime reaches it (`nothing`, `memory`,
//!   `tcp` or `unix`), and two lists of groups. A further runtime runs the first list only. A group
//!   is in the first list of the first backend of each way, and in the second list of the others: a
//!   runtime sees the same sockets whether it is Redis or Valkey that listens, whether it demands a
//!   password, speaks TLS, is a node of a cluster or was named by a sentinel. Cases that only one
//!   of those can have are a group of their own.
//!
//! With the feature `full`, every runtime runs every case on every backend.

use std::io::Write as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::backend::{Backend, Place};
use crate::context::Context;
use crate::harness::Harness;

/// Expands to one module of tests for each backend, with one test for each case that applies.
///
/// The argument is an expression of type `&'static dyn Harness`. Its names are resolved at the
/// place of the macro call. Use the macro once in a module.
///
/// With `further` as a second argument, only the cases that depend on the runtime are expanded,
/// each on one backend for each way to reach one. That is for a project that runs the whole suite
/// on another runtime already. With this crate's feature `full` it makes no difference.
#[macro_export]
macro_rules! suite {
    ($harness:expr) => {
        $crate::__suite!(all $harness);
    };
    ($harness:expr, further) => {
        $crate::__further_suite!($harness);
    };
}

#[cfg(not(feature = "full"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __further_suite {
    ($harness:expr) => {
        $crate::__suite!(further $harness);
    };
}

#[cfg(feature = "full")]
#[doc(hidden)]
#[macro_export]
macro_rules! __further_suite {
    ($harness:expr) => {
        $crate::__suite!(all $harness);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __suite {
    ($scope:ident $harness:expr) => {
        fn harness() -> &'static dyn $crate::Harness {
            $harness
        }

        #[test]
        fn the_tests_are_those_of_the_table() {
            $crate::table::assert_complete(module_path!(), stringify!($scope));
        }

        // The module, the backend, the way to it; the groups for every runtime and for one.
        $crate::__backend!($scope dummy Dummy nothing [everywhere in_place dummy] []);
        $crate::__backend!($scope locmem Locmem memory [everywhere in_place storing locmem] []);
        $crate::__backend!($scope redis Redis tcp [everywhere storing served single tcp faults wire] []);
        $crate::__backend!($scope redis_without_hello RedisWithoutHello tcp [] [everywhere storing served single]);
        $crate::__backend!($scope redis_with_password RedisWithPassword tcp [reached guarded] []);
        $crate::__backend!($scope redis_over_unix_socket RedisOverUnixSocket unix [reached] []);
        $crate::__backend!($scope redis_over_tls RedisOverTls tcp [tls] [everywhere storing served single tcp faults]);
        $crate::__backend!($scope redis_through_sentinel RedisThroughSentinel tcp [watched] [everywhere storing served single]);
        $crate::__backend!($scope valkey Valkey tcp [] [everywhere storing served single tcp faults wire]);
        $crate::__backend!($scope valkey_with_password ValkeyWithPassword tcp [] [reached guarded]);
        $crate::__backend!($scope valkey_through_sentinel ValkeyThroughSentinel tcp [] [everywhere storing served single watched]);
        $crate::__backend!($scope redis_cluster RedisCluster tcp [clustered encrypted] [everywhere storing served]);
        $crate::__backend!($scope valkey_cluster ValkeyCluster tcp [] [everywhere storing served clustered]);
        $crate::__backend!($scope hostile Dummy tcp [hostile] []);
        $crate::__backend!($scope options Dummy nothing [options] []);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __backend {
    (all $module:ident $backend:ident $way:ident [$($first:ident)*] [$($again:ident)*]) => {
        mod $module {
            $($crate::__cases!(all $first $backend);)*
            $($crate::__cases!(all $again $backend);)*
        }
    };
    (further $module:ident $backend:ident $way:ident [$($first:ident)*] [$($again:ident)*]) => {
        mod $module {
            $($crate::__cases!(further $first $backend);)*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    ($scope:ident everywhere $backend:ident) => {
        $crate::__tests! { $scope $backend
            turns [tasks] { a_loop_of_calls_that_fail_at_once_lets_others_run }
            lifecycle [lifecycle] {
                no_operation_runs_before_connect
                no_operation_runs_after_disconnect
                a_second_connect_is_an_error_and_changes_nothing
                a_cache_connects_again_after_disconnect
                a_connected_cache_answers_a_ping
                operations_do_nothing_until_they_are_awaited
                a_dropped_connect_or_disconnect_locks_nothing
                caches_of_one_url_connect_independently
                a_lazily_connected_cache_is_connected_at_once_and_serves
            }
            keys [] { a_colon_in_a_version_is_an_error_in_every_operation }
            views [] { with_prefix_refuses_a_prefix_with_a_colon }
            clocks [] {
                an_injected_outage_fails_every_operation_but_get_or_set
                the_kind_of_an_injected_fault_determines_the_error
            }
            timeouts [] {
                a_timeout_of_zero_is_an_error_in_every_operation
                a_timeout_past_the_longest_is_an_error_in_every_operation
            }
            values [] {
                a_value_that_does_not_serialize_is_an_error_that_names_the_key
                a_batch_with_one_value_that_does_not_serialize_stores_nothing
            }
            unreadable [] { a_value_that_could_not_be_read_back_is_not_written }
            many [] { batches_without_keys_do_nothing }
            clear [] { clearing_an_empty_cache_succeeds }
            info [] { info_describes_the_backend_and_its_state }
            stats [] { only_a_connected_store_in_memory_has_stats }
            load [] {
                a_loaders_error_reaches_its_caller_and_is_not_cached
                a_loaded_value_that_does_not_serialize_is_an_error_and_locks_nothing
                keys_and_versions_load_independently
            }
            load [lifecycle] { a_disconnect_while_loading_loses_no_value }
        }
    };
    ($scope:ident storing $backend:ident) => {
        $crate::__tests! { $scope $backend
            values [] {
                a_value_that_was_set_is_read_back
                values_of_every_shape_are_read_back
                get_returns_none_for_a_key_that_was_never_set
                a_second_set_replaces_the_first
                a_cached_null_is_a_hit
                raw_bytes_are_kept_as_they_are
                values_are_json_text
                a_value_of_another_type_is_an_error_that_names_the_key
                add_stores_only_if_the_key_is_absent
                delete_returns_whether_the_key_existed
            }
            values [io] { a_large_value_is_read_back }
            values [tasks] {
                of_many_concurrent_adds_of_one_key_one_succeeds
                clones_in_many_tasks_share_one_cache
            }
            timeouts [time] {
                a_key_is_absent_after_its_timeout
                a_key_is_present_until_its_timeout
            }
            timeouts [] {
                an_expired_key_can_be_added_again
                an_expired_key_can_be_neither_touched_nor_deleted_nor_added_to
                without_a_timeout_a_key_never_expires
                the_default_timeout_applies_to_operations_without_one
                forever_beats_a_default_timeout_in_every_writing_operation
                forever_on_the_builder_beats_a_timeout_in_the_url
                setting_a_key_again_forgets_its_timeout
                an_add_that_stores_nothing_leaves_the_timeout_alone
                touch_sets_the_given_timeout
                touch_without_a_timeout_sets_the_default_timeout
                touch_without_any_timeout_makes_a_key_stay_forever
                touch_of_an_absent_key_creates_nothing
                remaining_counts_in_milliseconds
                a_fraction_of_a_millisecond_is_not_forever
                a_timeout_in_the_url_is_in_seconds_and_may_have_decimals
                the_longest_timeout_is_kept
            }
            keys [] {
                versions_do_not_see_each_other
                every_operation_takes_a_version
                an_operations_version_beats_the_caches_own
                version_zero_in_the_url_is_a_version
                prefixes_do_not_see_each_other
                colons_inside_a_name_cause_no_key_collision
                any_bytes_are_a_key
                a_long_key_is_kept
            }
            many [] {
                get_many_returns_values_in_request_order_with_duplicates
                every_key_of_a_batch_has_its_timeout_and_version
                a_batch_expires_as_a_whole
                of_two_values_for_one_key_in_a_batch_the_last_is_stored
                a_batch_replaces_values_and_timeouts
                delete_many_counts_each_existing_key_once
            }
            many [io] {
                ten_thousand_keys_are_one_call
                large_batches_cross_in_both_directions
            }
            numbers [] {
                an_integer_is_added_and_subtracted
                a_double_is_added_and_subtracted
                integers_add_by_the_table
                the_lowest_integer_is_subtracted_if_the_difference_fits
                doubles_add_by_the_table
                only_numbers_can_be_added_to
                an_absent_key_is_not_added_to
                a_sum_keeps_its_keys_timeout
            }
            numbers [tasks] { sums_of_many_tasks_lose_nothing }
            counters [] {
                an_absent_number_begins_with_its_initial_value
                a_first_sum_is_stored_like_any_other
                a_timeout_begins_when_the_number_does
                a_new_number_has_the_default_timeout
                a_first_sum_that_overflows_creates_nothing
                a_limit_of_calls_in_a_window_is_kept
            }
            counters [tasks] {
                no_concurrent_first_addition_is_lost
                a_number_created_while_loading_wins
            }
            compare [] {
                a_key_is_deleted_if_it_holds_the_value
                values_of_every_shape_are_compared_as_they_are_stored
                raw_bytes_are_compared_byte_for_byte
                a_lock_that_has_expired_is_not_taken_from_its_next_holder
            }
            compare [tasks] {
                of_many_concurrent_deletes_of_one_value_one_succeeds
                a_delete_if_equals_while_loading_wins
            }
            loaded [] {
                loaded_bytes_are_stored_unchanged
                a_loaded_value_can_determine_its_timeout
                timeout_with_is_called_only_for_a_loaded_value
                an_invalid_loaded_timeout_is_an_error_and_locks_nothing
            }
            loaded [tasks] { callers_share_one_load_of_bytes }
            views [] {
                a_view_uses_its_prefix_instead_of_the_caches
                every_operation_of_a_view_is_under_its_prefix
                a_view_clears_its_own_prefix_and_no_other
            }
            views [lifecycle] { a_view_connects_and_disconnects_with_its_cache }
            clocks [time] { a_wait_for_a_load_ends_by_a_manual_clock }
            owned [tasks] {
                a_task_is_spawned_from_every_operation
                an_operation_that_owns_its_cache_outlives_its_callers
                an_operation_that_is_under_way_becomes_owned_and_goes_on
            }
            clear [] {
                clear_removes_every_key_whatever_its_prefix_and_version
                clear_prefix_removes_and_counts_every_version_of_its_prefix
                clear_prefix_without_a_prefix_keeps_prefixed_keys
                glob_characters_in_a_prefix_mean_themselves
                clear_prefix_goes_through_thousands_of_keys
                clear_prefix_does_not_count_what_has_expired
            }
            load [] {
                a_miss_loads_and_stores
                a_hit_does_not_poll_the_loader
                a_loaded_null_is_cached
                an_expired_value_is_loaded_again
            }
            load [tasks] {
                many_callers_share_one_load
                separately_opened_caches_share_one_load
                a_followers_own_loader_runs_when_the_leaders_fails
                a_follower_takes_over_wherever_its_leader_was_dropped
                followers_inherit_the_load_of_a_dropped_leader_one_by_one
                a_loader_that_panics_does_not_block_other_callers
                a_load_begins_while_loads_of_other_keys_keep_ending
                a_delete_while_loading_wins
                a_delete_of_many_while_loading_wins
                a_clear_while_loading_wins
                a_clear_of_the_prefix_while_loading_wins
                a_set_while_loading_wins
            }
            forms [] {
                a_key_is_the_same_in_whatever_form_it_is_given
                a_version_may_be_an_integer_of_any_type
                integers_of_every_type_are_added
                an_integer_that_no_sum_can_hold_overflows_and_changes_nothing
                a_timeout_may_be_an_option_and_be_called_ttl
                raw_bytes_are_added_and_stored_in_batches_as_they_are
            }
            unreadable [] {
                an_unreadable_entry_is_loaded_again_and_replaced
                a_loader_that_fails_leaves_an_unreadable_entry_as_it_is
                a_get_of_an_unreadable_entry_is_an_error_or_a_miss_as_requested
                get_many_can_return_readable_values_beside_unreadable_ones
                a_cache_can_treat_unreadable_entries_as_misses
                unreadable_entries_are_recorded_by_their_operation
            }
            unreadable [tasks] {
                many_callers_of_an_unreadable_entry_share_one_load
                a_follower_that_cannot_read_the_loaded_value_loads_by_itself
                callers_that_disagree_about_a_keys_type_each_get_their_type
            }
            waits [tasks time] {
                a_loader_that_asks_for_its_own_key_gets_the_inner_value
                a_ring_of_loaders_ends
                tasks_whose_loaders_cross_all_end
                a_loader_that_waits_for_several_loads_at_once_ends
                a_wait_that_moves_into_a_loader_counts_as_its_wait
                a_dropped_load_leaves_no_wait_behind
                an_unpolled_leader_delays_others_by_load_wait
                a_caller_can_limit_its_wait_for_a_load
                a_waiter_that_panics_lets_the_next_take_over
                many_followers_of_a_leader_that_is_not_polled_all_end
                a_load_after_load_wait_does_not_undo_a_write
            }
        }
    };
    ($scope:ident dummy $backend:ident) => {
        $crate::__tests! { $scope $backend
            dummy [] {
                nothing_is_kept
                nothing_is_added_touched_or_deleted
                nothing_is_added_to
                every_first_sum_is_forgotten
                every_call_loads
                values_must_serialize_although_none_is_stored
                every_operation_succeeds_but_those_that_need_a_number
            }
        }
    };
    ($scope:ident in_place $backend:ident) => {
        $crate::__tests! { $scope $backend
            turns [tasks] {
                a_loop_of_any_operation_lets_others_run
                a_timeout_around_a_loop_of_gets_fires
            }
        }
    };
    ($scope:ident locmem $backend:ident) => {
        $crate::__tests! { $scope $backend
            turns [tasks] { a_loop_that_waits_for_a_lock_ends_when_another_task_gives_it_back }
            locmem [lifecycle] {
                caches_of_one_name_share_a_store
                a_second_connect_to_a_store_keeps_its_entries
                a_store_is_freed_when_its_last_cache_disconnects
                a_store_is_freed_when_its_last_cache_is_dropped
            }
            locmem [] {
                caches_of_other_names_share_nothing
                a_name_may_be_empty_or_hold_any_text
                a_store_never_exceeds_max_entries
                a_store_never_exceeds_max_bytes
                a_value_larger_than_its_store_is_refused_and_evicts_nothing_else
                a_cold_value_of_most_of_the_room_is_refused_until_it_is_asked_for_often
                hits_and_misses_are_counted
                insertions_and_the_causes_of_removals_are_counted
                caches_of_one_name_share_its_counts
            }
            locmem [time] { expired_entries_are_freed_without_being_accessed }
            clocks [time] { entries_expire_by_a_manual_clock }
            info [] { info_reports_the_bounds_of_the_open_store }
        }
    };
    ($scope:ident served $backend:ident) => {
        $crate::__tests! { $scope $backend
            server [] {
                keys_on_the_server_match_the_python_package_byte_for_byte
                entries_written_by_python_are_read
                values_on_the_server_are_json_text
                timeouts_on_the_server_are_milliseconds
                remaining_reports_a_timeout_set_by_another_client
                clear_prefix_keeps_keys_of_other_prefixes
                reading_a_key_of_another_server_type_is_a_server_error
                scripts_that_the_server_forgot_are_loaded_again
                numbers_at_every_digit_boundary_cross_the_wire
            }
            unreadable [] { an_entry_of_another_server_type_is_replaced }
            pushes [] { tracking_is_enabled_or_a_lack_of_resp3_is_an_error }
            drops [io tasks] {
                ten_thousand_gets_under_random_drops_see_their_own_value
                a_thousand_tasks_on_few_connections_are_served_while_others_give_up
                dropped_writes_run_once_or_never
            }
        }
    };
    // These cases do not hold for a cluster: it has only one database, and one pool for each node
    // that is opened when a call needs it. `clustered` has the cluster's counterparts.
    ($scope:ident single $backend:ident) => {
        $crate::__tests! { $scope $backend
            server [] { clear_leaves_other_databases_alone }
            server [lifecycle] { connections_have_a_name_and_are_closed_by_disconnect }
            info [lifecycle] { connections_are_idle_after_use_and_closed_after_disconnect }
            info [] { info_reports_the_servers_name_and_version }
        }
    };
    ($scope:ident clustered $backend:ident) => {
        $crate::__tests! { $scope $backend
            server [io] { a_hostname_is_resolved }
            pushes [io] {
                changes_on_all_nodes_are_reported_on_differently_named_connections
            }
            recorder [] { redirects_are_recorded_by_their_operation }
            cluster [] {
                keys_are_spread_over_all_masters_and_found_from_any_of_them
                a_user_without_scripts_can_remove_timeouts_in_a_cluster
                info_reports_that_a_single_server_is_a_cluster_node
                a_cluster_url_to_a_standalone_server_is_an_error
                every_node_is_sent_the_credentials
                nodes_are_reached_through_the_cluster_address_map
                two_nodes_that_redirect_to_each_other_are_a_typed_error
                reads_go_to_replicas_on_request_and_to_masters_without_replicas
            }
            cluster [lifecycle] { each_node_has_its_own_pool_that_opens_on_demand }
            cluster [io] { a_node_of_the_url_that_is_away_is_passed_over }
            cluster [time] {
                a_slot_without_a_node_is_an_error_in_time
                lost_connections_without_demand_do_not_keep_refreshing_the_map
                a_map_with_a_newly_uncovered_slot_is_read_once_more
            }
            resharding [] {
                every_operation_finds_keys_whose_slot_is_being_moved
                replicas_are_read_from_while_a_slot_is_moved
                a_removed_node_is_left_and_no_key_is_lost
            }
            resharding [io time] {
                callers_under_load_get_no_wrong_answer_while_slots_are_moved
                callers_under_load_survive_the_death_of_a_master
                a_cluster_whose_addresses_have_all_changed_is_found_through_the_url
                a_silent_node_does_not_delay_calls_to_other_nodes
            }
            resharding [lifecycle] {
                disconnect_waits_for_calls_under_way_on_every_node
                disconnect_with_an_unreachable_node_ends_all_calls
            }
        }
    };
    // The Valkey that the suite runs on is built without TLS.
    ($scope:ident encrypted $backend:ident) => {
        $crate::__tests! { $scope $backend
            cluster [] { each_node_of_a_tls_cluster_is_verified_by_its_name }
        }
    };
    ($scope:ident tcp $backend:ident) => {
        $crate::__tests! { $scope $backend
            server [io] { a_hostname_is_resolved }
            server [] { redis_and_valkey_schemes_are_equivalent }
        }
    };
    ($scope:ident reached $backend:ident) => {
        $crate::__tests! { $scope $backend
            lifecycle [lifecycle] {
                a_second_connect_is_an_error_and_changes_nothing
                a_cache_connects_again_after_disconnect
            }
            values [] { a_value_that_was_set_is_read_back }
            values [io] { a_large_value_is_read_back }
            values [tasks] { clones_in_many_tasks_share_one_cache }
            timeouts [time] { a_key_is_absent_after_its_timeout }
            many [io] { ten_thousand_keys_are_one_call }
            numbers [tasks] { sums_of_many_tasks_lose_nothing }
            server [] { keys_on_the_server_match_the_python_package_byte_for_byte }
            server [lifecycle] { connections_have_a_name_and_are_closed_by_disconnect }
            drops [io tasks] { ten_thousand_gets_under_random_drops_see_their_own_value }
        }
    };
    ($scope:ident guarded $backend:ident) => {
        $crate::__tests! { $scope $backend
            guarded [time] {
                a_wrong_password_fails_at_once_and_starts_no_storm
                a_password_changed_under_a_cache_starts_no_storm
            }
            guarded [] {
                credentials_with_reserved_url_characters_are_accepted
                a_command_without_permission_is_a_server_error
                operations_that_need_a_script_fail_for_a_user_without_scripts
                a_user_without_scripts_removes_timeouts_by_plain_commands
                a_user_unable_to_remove_timeouts_gets_a_server_error
                a_password_is_in_no_debug_output_of_a_connected_cache
            }
            info [] { info_shows_no_password }
            rotation [io tasks] {
                a_provider_is_asked_before_each_connection
                reauthenticate_changes_open_connections_and_no_call_is_lost
                reauthenticate_before_connect_takes_effect_on_connect
            }
            rotation [tasks time] {
                a_failing_provider_is_reported_and_retried_without_a_storm
                a_provider_that_never_answers_ends_with_the_connect_timeout
            }
            rotation [] { credentials_of_the_builder_beat_those_of_the_url }
            rotation [io time] {
                a_refused_reauthentication_is_a_typed_error_and_starts_no_storm
            }
        }
    };
    ($scope:ident faults $backend:ident) => {
        $crate::__tests! { $scope $backend
            clocks [time] { a_response_timeout_ends_by_a_manual_clock }
            clocks [] { info_reports_the_time_of_day_of_the_last_error }
            addresses [io time] {
                an_address_that_loses_packets_gives_way_to_the_next
                an_address_that_accepts_and_never_greets_gives_way_to_the_next
                an_address_that_refuses_or_hangs_up_gives_way_to_the_next_at_once
                only_the_first_address_is_dialled_if_it_greets
                the_only_live_address_is_found_within_the_connect_timeout
                a_name_is_resolved_anew_for_each_connection
                a_name_that_does_not_resolve_is_an_error_that_names_it
                a_connection_past_its_age_is_replaced_and_no_call_fails
                a_changed_address_of_a_name_is_followed_within_the_connection_age
            }
            addresses [io] { an_ip_address_is_not_resolved }
            faults [io time] {
                no_operation_outlives_its_deadline_on_a_stopped_server
                calls_to_a_stopped_server_fail_fast_after_one_response_timeout
                calls_whose_dials_are_lost_fail_fast_after_one_response_timeout
                a_stopped_server_does_not_block_a_disconnect
                connecting_to_a_stopped_server_ends
                a_starved_pool_recovers_when_its_server_resumes
                a_connection_that_the_server_closed_while_idle_fails_no_call
                a_connection_killed_while_idle_is_replaced
                sums_on_killed_connections_are_never_counted_twice
                sums_whose_answer_is_lost_are_never_counted_twice
                a_server_that_restarts_is_found_again
                a_lazily_connected_cache_uses_its_server_once_it_is_up
                a_lazily_connected_cache_reports_a_wrong_password
                get_or_set_returns_the_loaded_value_during_an_outage
                connections_never_exceed_maxsize
                at_least_minsize_connections_are_kept
                connections_are_added_while_all_are_busy
                a_connection_is_opened_beside_one_that_carries_large_values
                connections_set_tcp_nodelay
            }
            faults [] {
                a_million_calls_to_a_stopped_server_wait_in_a_bounded_queue
                keys_are_stored_together_with_their_timeouts
            }
            poison [io] {
                a_value_that_the_server_may_not_send_costs_two_connections_at_most
                a_value_that_the_server_does_not_read_costs_two_connections_at_most
                values_too_large_to_send_at_once_are_fetched_in_parts
            }
            info [io time] {
                info_counts_commands_in_flight_while_a_server_is_paused
                info_counts_unwritten_commands_as_queued
                info_counts_callers_that_wait_for_room
                info_reports_reconnects_and_the_last_error
                info_counts_a_connection_without_a_greeting_as_dialling
                info_reports_failing_fast_until_the_server_is_back
            }
            pushes [io] {
                a_change_to_a_read_key_by_another_client_is_reported_once
                prefix_tracking_reports_all_keys_of_the_prefix
                pushes_among_ten_thousand_gets_shift_no_reply
                opened_and_ended_connections_are_reported_around_their_pushes
                earlier_pushes_are_reported_before_a_reply_is_returned
            }
            pushes [] { without_a_subscriber_tracking_is_not_requested }
            recorder [io] {
                commands_are_recorded_by_their_batches
                a_command_written_in_parts_is_recorded_with_the_last_part
                repeated_commands_are_recorded_by_their_operation
            }
            recorder [io time] {
                round_trips_are_recorded_with_their_duration
                lost_and_reopened_connections_and_failed_dials_are_recorded
            }
            recorder [tasks] { waits_for_room_are_recorded }
            recorder [time] { timeouts_are_recorded_by_their_operation }
            outages [io time] {
                an_unanswered_dial_ends_with_the_connect_timeout
                calls_fail_in_time_when_a_lost_connection_cannot_be_redialled
                calls_fail_in_time_on_packet_loss_and_new_connections_are_opened
                a_connection_reset_within_a_reply_mixes_up_no_replies
                calls_wait_for_a_paused_server_no_longer_than_their_deadline
                calls_wait_for_a_sleeping_server_no_longer_than_their_deadline
                calls_wait_while_a_restarted_server_loads_its_data
                a_server_that_loads_its_data_is_a_typed_error_and_loaders_run
                writes_reach_the_new_master_that_a_name_leads_to_after_a_failover
            }
            refusals [] {
                a_full_server_refuses_writes_while_reads_and_loaders_work
                a_replica_refuses_writes_while_reads_and_loaders_work
                a_server_without_replicas_refuses_writes_while_reads_and_loaders_work
                a_replica_that_lost_its_master_refuses_all_calls_while_loaders_work
                a_server_busy_with_a_script_is_a_typed_error_and_loaders_run
                a_user_without_permission_for_ping_and_client_is_served
            }
        }
    };
    ($scope:ident tls $backend:ident) => {
        $crate::__tests! { $scope $backend
            tls [io] {
                a_server_of_an_unknown_authority_is_refused_and_sent_no_password
                a_server_that_speaks_no_tls_is_an_error_and_sent_no_command
                a_stream_cut_without_close_notify_never_ends_a_reply
                a_corrupt_byte_in_a_record_closes_the_connection_and_reaches_no_caller
                values_of_any_size_cross_in_tls_1_2
                a_new_connection_resumes_an_earlier_tls_session
            }
            tls [] {
                a_certificate_for_another_name_is_refused_without_tls_server_name
                a_certificate_that_has_expired_is_refused
                a_certificate_that_the_file_contains_is_accepted
                a_certificate_without_a_name_is_accepted_with_tls_verify_ca
                accepting_any_certificate_is_opt_in_and_shown_in_debug_output
                a_server_that_requests_a_certificate_is_sent_the_clients
                sentinels_and_their_master_are_verified_alike
                a_master_of_an_unknown_authority_is_refused_despite_its_sentinel
                a_missing_authority_file_is_an_error_before_any_dial
            }
            tls [time] { a_stalled_tls_handshake_ends_with_the_connect_timeout }
        }
    };
    ($scope:ident wire $backend:ident) => {
        $crate::__tests! { $scope $backend
            wire [io time] {
                a_late_reply_reaches_no_caller
                a_late_reply_on_a_kept_connection_reaches_no_caller
                a_late_reply_to_a_dropped_call_reaches_no_caller
                a_push_before_every_reply_shifts_nothing
                replies_that_arrive_in_pieces_are_reassembled
                an_unsolicited_reply_closes_the_connection_and_shifts_no_reply
                a_connection_cut_within_a_reply_mixes_up_no_replies
                a_command_that_may_have_run_is_not_sent_twice
                a_write_that_may_have_run_is_not_sent_again
                a_read_that_may_have_run_is_sent_again
                the_timeout_error_of_a_late_reply_reports_may_have_run
                the_error_of_a_lost_read_without_a_server_reports_may_have_run
                calls_to_a_vanished_peer_fail_in_time
                disconnect_waits_for_commands_in_flight
                disconnect_from_a_peer_that_vanished_ends
            }
            outages [io time] {
                a_corrupt_byte_around_a_value_closes_the_connection_and_reaches_no_caller
                open_connections_keep_working_when_the_server_refuses_new_clients
            }
        }
    };
    ($scope:ident watched $backend:ident) => {
        $crate::__tests! { $scope $backend
            recorder [io] { a_change_of_master_and_a_lost_sentinel_are_recorded }
            sentinel [] {
                the_master_that_a_sentinel_names_is_used
                sentinels_and_servers_have_separate_passwords
                a_service_that_no_sentinel_knows_is_an_error_that_names_it
                another_sentinel_is_asked_if_a_stale_one_names_a_replica
                a_master_is_reached_through_the_sentinel_address_map
                named_sentinels_are_reached_through_the_sentinel_address_map
            }
            sentinel [io] {
                an_outage_of_all_sentinels_is_an_error_that_names_one
                a_write_that_a_demoted_master_refuses_is_done_by_the_next_one
            }
            sentinel [io time] {
                a_sentinel_that_dies_is_passed_over
                a_sentinel_that_falls_silent_is_passed_over
                a_cache_goes_on_while_all_sentinels_are_away
                calls_fail_in_time_while_a_lost_master_is_not_replaced
            }
            sentinel [io tasks] {
                callers_under_load_survive_the_death_of_the_master_and_its_sentinel
                callers_under_load_survive_a_master_that_is_made_a_replica
            }
            sentinel [lifecycle] { disconnect_during_a_failover_ends_all_calls }
        }
    };
    ($scope:ident hostile $backend:ident) => {
        $crate::__tests! { $scope $backend
            addresses [io time] {
                a_server_that_hangs_up_on_hello_is_found_among_addresses_that_never_greet
            }
            hostile [io] {
                connecting_to_a_peer_that_never_greets_ends_with_the_timeout
                a_peer_that_refuses_is_an_error_that_names_it
                a_host_that_does_not_exist_is_an_error_that_names_it
                refused_dials_fail_calls_of_lazily_connected_caches_at_once
                a_malformed_reply_closes_the_connection_and_reaches_no_caller
                a_surplus_reply_reaches_no_caller
                replies_before_any_command_reach_no_caller
                a_peer_that_hangs_up_on_every_command_ends_in_an_error
            }
            hostile [] {
                resp2_nulls_are_nulls_in_resp3
                a_servers_error_text_is_quoted_and_bounded
            }
            extremes [io] {
                a_greeting_without_end_is_cut_off_after_few_bytes
                unsolicited_data_is_cut_off_after_few_bytes
                a_large_reply_to_a_write_is_cut_off_after_few_bytes
                a_pool_dials_few_connections_until_one_opens
                a_pool_of_many_connections_opens_all_of_them
            }
            extremes [lifecycle] { a_url_of_extreme_numbers_is_refused_or_serves }
            redirects [io time] {
                moved_to_ever_new_addresses_opens_a_bounded_number_of_nodes
                ask_to_ever_new_addresses_opens_a_bounded_number_of_nodes
                ask_to_ever_new_silent_addresses_keeps_no_caller_busy
                a_cluster_that_grows_by_a_hundred_nodes_at_once_is_followed
                maps_of_ever_new_nodes_are_followed_at_a_bounded_pace
            }
            poison [io] {
                a_command_with_a_malformed_reply_is_not_repeated
                a_command_on_which_the_server_hangs_up_is_repeated_once_and_alone
                several_commands_that_end_connections_harm_no_neighbour_twice
                an_abandoned_suspect_frees_its_connection_for_others
                the_end_of_a_connection_that_has_answered_lengthens_no_backoff
                an_error_nested_in_a_reply_fails_only_its_call
                an_outage_reported_by_a_proxy_is_retryable
                a_connection_that_lost_its_authentication_is_left
                a_batch_is_halved_when_the_peer_hangs_up_on_many_values
            }
            greetings [io] {
                a_refusal_of_hello_in_any_words_falls_back_to_resp2
                a_hang_up_on_hello_falls_back_to_resp2_at_once
                a_server_that_hangs_up_on_every_greeting_is_dialled_with_backoff
            }
            greetings [] {
                a_refused_connection_name_ends_no_connection
                the_protocol_option_determines_the_protocol
                no_part_of_a_password_is_shown_if_the_server_quotes_it
            }
            info [] { info_lists_servers_of_several_versions_separately }
        }
    };
    ($scope:ident options $backend:ident) => {
        $crate::__tests! { $scope $backend
            options [] {
                the_builder_beats_the_url
                options_of_the_url_apply_unless_the_builder_sets_them
                a_wrong_url_is_an_error_that_names_the_part_at_fault
                a_wrong_option_of_the_builder_is_an_error_that_names_it
                a_default_timeout_of_zero_is_an_error_in_the_url_and_the_builder
                a_password_is_in_no_error_about_a_url
                a_tls_url_never_sends_plain_text
                tls_options_do_not_affect_backends_without_connections
                a_password_is_in_no_debug_output
                without_an_adapter_only_backends_in_memory_open
            }
            options [lifecycle] { a_cache_opened_without_an_adapter_works_on_this_runtime }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($scope:ident $backend:ident $($file:ident [$($mark:ident)*] { $($case:ident)* })*) => {
        $($crate::__block!($scope $backend $file [$($mark)*] $($case)*);)*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __block {
    (further $backend:ident $file:ident [] $($case:ident)*) => {};
    ($scope:ident $backend:ident $file:ident [$($mark:ident)*] $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                let case = $crate::cases::$file::$case;
                $crate::run(super::harness(), $crate::Backend::$backend, case);
            }
        )*
    };
}

/// Runs one case on one backend and one runtime.
///
/// # Panics
/// When the case fails or does not end in time: no call may wait for ever.
#[doc(hidden)]
pub fn run<F>(harness: &'static dyn Harness, backend: Backend, case: fn(Context) -> F)
where
    F: Future<Output = ()> + 'static,
{
    let Some(place) = Place::new(backend) else { return };
    let context = Context::new(harness, place);
    let done = watched(WATCHDOG);
    harness.block_on(Box::pin(async move {
        context.within(PATIENCE, "the test", case(context.clone())).await;
    }));
    drop(done);
}

/// Ends the process unless the returned sender is dropped in time. The runtime under test may
/// starve its timers, or spin, so a thread of the suite bounds each case as well.
fn watched(limit: Duration) -> mpsc::Sender<()> {
    let case = thread::current().name().unwrap_or("a case").to_owned();
    let (done, is_done) = mpsc::channel::<()>();
    thread::spawn(move || {
        if is_done.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            let what =
                format!("{case} is not over after {limit:?}, and the runtime's timer is late\n");
            let _ = std::io::stderr().write_all(what.as_bytes());
            std::process::exit(101);
        }
    });
    done
}

const PATIENCE: Duration = Duration::from_secs(90);
const WATCHDOG: Duration = Duration::from_secs(180);
