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
//!   | mark | the case depends on |
//!   |---|---|
//!   | `io` | sockets: dialling, names, partial reads and writes, connections that break, much data |
//!   | `time` | timers: deadlines, backoff, waits that end, expiry while the runtime waits |
//!   | `tasks` | tasks that run beside each other, wakers, futures that are dropped |
//!   | `lifecycle` | connect and disconnect, and what they start and end |
//!
//! * In `suite!`, each backend has the way on which a runtime reaches it (`nothing`, `memory`, `tcp`
//!   or `unix`), and two lists of groups. A further runtime runs the first list only. A group is in
//!   the first list of the first backend of each way, and in the second list of the others: a
//!   runtime sees the same sockets whether it is Redis or Valkey that listens, whether it demands a
//!   password, speaks TLS, is a node of a cluster or was named by a sentinel. What is particular to
//!   those is a group of its own.
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
/// With `further` as a second argument, only the cases that depend on the runtime are expanded, each
/// on one backend for each way to reach one. That is for a project that runs the whole suite on
/// another runtime already. With this crate's feature `full` it makes no difference.
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
                caches_of_one_url_connect_apart
                a_cache_that_connects_lazily_is_connected_at_once_and_serves
            }
            keys [] { a_colon_in_a_version_is_an_error_in_every_operation }
            views [] { a_prefix_with_a_colon_makes_no_view }
            clocks [] {
                every_operation_fails_as_a_test_wants_it
                an_operation_fails_in_the_way_that_was_asked_for
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
            many [] { nothing_asked_is_nothing_answered }
            clear [] { clearing_nothing_is_no_error }
            info [] { what_a_cache_tells_of_itself_fits_its_backend }
            stats [] { only_a_connected_store_in_memory_tells_what_it_counts }
            load [] {
                a_loaders_error_reaches_its_caller_and_is_not_cached
                a_loaded_value_that_does_not_serialize_is_an_error_and_locks_nothing
                keys_and_versions_load_apart
            }
            load [lifecycle] { a_disconnect_while_loading_loses_no_value }
        }
    };
    ($scope:ident storing $backend:ident) => {
        $crate::__tests! { $scope $backend
            values [] {
                a_value_that_was_set_is_read_back
                values_of_every_shape_are_read_back
                a_key_that_was_never_set_is_none
                a_second_set_replaces_the_first
                a_cached_null_is_a_hit
                raw_bytes_are_kept_as_they_are
                values_are_json_text
                a_value_of_another_type_is_an_error_that_names_the_key
                add_stores_only_where_nothing_is
                delete_tells_whether_the_key_was_there
            }
            values [io] { a_large_value_is_read_back }
            values [tasks] {
                of_many_that_add_one_key_one_succeeds
                clones_in_many_tasks_share_one_cache
            }
            timeouts [time] {
                a_key_is_gone_after_its_timeout
                a_key_is_there_until_its_timeout
            }
            timeouts [] {
                an_expired_key_can_be_added_again
                an_expired_key_can_be_neither_touched_nor_deleted_nor_added_to
                without_a_timeout_a_key_never_expires
                the_default_timeout_is_for_operations_that_name_none
                forever_beats_a_default_timeout_in_every_writing_operation
                a_cache_may_say_forever_over_a_timeout_in_its_url
                setting_a_key_again_forgets_its_timeout
                an_add_that_stores_nothing_leaves_the_timeout_alone
                touch_gives_the_timeout_that_it_is_given
                touch_without_a_timeout_gives_the_default_one
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
                no_key_reaches_another_by_what_is_inside_it
                any_bytes_are_a_key
                a_long_key_is_kept
            }
            many [] {
                many_values_come_in_the_order_asked_with_duplicates
                every_key_of_a_batch_has_its_timeout_and_version
                a_batch_expires_as_a_whole
                the_last_of_two_values_for_one_key_stays
                a_batch_replaces_values_and_timeouts
                delete_many_counts_what_was_there_once
            }
            many [io] {
                ten_thousand_keys_are_one_call
                large_batches_cross_in_both_directions
            }
            numbers [] {
                an_integer_is_added_and_subtracted
                a_double_is_added_and_subtracted
                integers_add_by_the_table
                the_lowest_integer_is_subtracted_where_the_difference_fits
                doubles_add_by_the_table
                what_is_not_a_number_is_not_added_to
                an_absent_key_is_not_added_to
                a_sum_keeps_its_keys_timeout
            }
            numbers [tasks] { sums_of_many_tasks_lose_nothing }
            counters [] {
                an_absent_number_begins_with_its_initial_value
                a_first_sum_is_stored_as_any_other_is
                a_timeout_begins_when_the_number_does
                a_number_that_begins_takes_the_default_timeout
                a_first_sum_that_overflows_creates_nothing
                a_limit_of_calls_in_a_window_is_kept
            }
            counters [tasks] {
                of_many_first_additions_none_is_lost
                a_number_that_begins_while_loading_wins
            }
            compare [] {
                a_key_is_deleted_if_it_holds_the_value
                values_of_every_shape_are_compared_as_they_are_stored
                raw_bytes_are_compared_byte_for_byte
                a_lock_that_has_expired_is_not_taken_from_its_next_holder
            }
            compare [tasks] {
                of_many_that_delete_one_value_one_succeeds
                a_delete_if_equals_while_loading_wins
            }
            loaded [] {
                bytes_are_loaded_and_stored_as_they_are
                a_loaded_value_says_how_long_it_is_kept
                a_value_that_is_there_is_not_asked_how_long_it_is_kept
                a_loaded_value_that_says_zero_is_an_error_and_locks_nothing
            }
            loaded [tasks] { callers_share_one_load_of_bytes }
            views [] {
                a_view_has_its_prefix_in_place_of_the_caches
                every_operation_of_a_view_is_under_its_prefix
                a_view_clears_its_own_prefix_and_no_other
            }
            views [lifecycle] { a_view_connects_and_disconnects_with_its_cache }
            clocks [time] { a_wait_for_a_load_ends_by_a_clock_that_is_set_by_hand }
            owned [tasks] {
                a_task_is_spawned_from_every_operation
                an_operation_that_owns_its_cache_outlives_its_callers
                an_operation_that_is_under_way_becomes_owned_and_goes_on
            }
            clear [] {
                clear_removes_every_key_whatever_its_prefix_and_version
                clear_prefix_removes_every_version_of_its_prefix_and_counts
                clear_prefix_of_no_prefix_leaves_prefixes_alone
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
                caches_opened_apart_share_one_load
                a_followers_own_loader_runs_when_the_leaders_fails
                a_dropped_leaders_follower_takes_over_wherever_it_was_dropped
                a_leader_dropped_while_it_loads_is_inherited_one_by_one
                a_loader_that_panics_holds_up_nobody
                a_load_begins_though_loads_of_other_keys_end_all_the_time
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
                an_entry_that_cannot_be_read_is_loaded_anew_and_replaced
                a_loader_that_fails_leaves_an_unreadable_entry_as_it_is
                a_get_of_an_unreadable_entry_is_an_error_or_a_miss_as_it_is_asked
                a_get_of_many_keeps_the_good_values_beside_a_bad_one
                a_cache_may_say_that_unreadable_entries_are_misses
                unreadable_entries_are_recorded_by_their_operation
            }
            unreadable [tasks] {
                many_callers_of_an_unreadable_entry_share_one_load
                a_caller_that_cannot_read_what_another_loaded_loads_by_itself
                callers_that_disagree_about_a_keys_type_each_get_their_own
            }
            waits [tasks time] {
                a_loader_that_asks_for_its_own_key_gets_the_inner_value
                loaders_that_ask_for_each_other_in_a_ring_end
                tasks_whose_loaders_cross_all_end
                a_loader_that_waits_for_several_loads_at_once_ends
                a_wait_that_moves_into_a_loader_is_known_there
                a_refused_wait_is_forgotten_with_its_loads
                a_leader_that_is_kept_and_not_polled_delays_others_by_load_wait
                a_caller_says_how_long_it_waits_for_a_load
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
                values_must_serialize_all_the_same
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
                a_second_connect_to_a_name_does_not_empty_it
                a_store_goes_when_its_last_cache_disconnects
                a_store_goes_when_its_last_cache_is_dropped
            }
            locmem [] {
                caches_of_other_names_share_nothing
                a_name_may_be_empty_or_hold_any_text
                a_store_keeps_no_more_entries_than_it_may
                a_store_keeps_no_more_bytes_than_it_may
                a_value_larger_than_its_store_is_refused_and_evicts_nothing_else
                a_cold_value_of_most_of_the_room_is_refused_until_it_is_asked_for_often
                hits_and_misses_are_counted
                whatever_came_and_is_gone_is_counted_by_why_it_went
                caches_of_one_name_share_its_counts
            }
            locmem [time] { what_has_expired_goes_though_nobody_touches_it }
            clocks [time] { entries_expire_by_a_clock_that_is_set_by_hand }
            info [] { bounds_are_told_as_the_open_store_has_them }
        }
    };
    ($scope:ident served $backend:ident) => {
        $crate::__tests! { $scope $backend
            server [] {
                keys_on_the_server_are_byte_for_byte_what_python_writes
                what_python_wrote_is_read
                values_on_the_server_are_json_text
                timeouts_on_the_server_are_milliseconds
                a_timeout_that_somebody_else_set_is_told
                clear_prefix_leaves_keys_of_others_alone
                a_key_of_another_type_is_a_servers_error
                scripts_that_the_server_forgot_are_loaded_again
                numbers_at_every_digit_boundary_cross_the_wire
            }
            unreadable [] { an_entry_of_another_type_of_the_servers_is_replaced }
            pushes [] { tracking_is_on_or_what_is_lacking_for_it_is_an_error }
            drops [io tasks] {
                ten_thousand_gets_under_random_drops_see_their_own_value
                a_thousand_tasks_on_few_links_are_all_served_while_others_give_up
                writes_that_are_dropped_happen_once_or_not_at_all
            }
        }
    };
    // These cases do not hold for a cluster: it has only one database, and one pool for each node
    // that is opened when a call needs it. `clustered` has the cluster's counterparts.
    ($scope:ident single $backend:ident) => {
        $crate::__tests! { $scope $backend
            server [] { clear_leaves_other_databases_alone }
            server [lifecycle] { links_bear_a_name_and_are_closed_by_disconnect }
            info [lifecycle] { links_are_idle_after_use_and_gone_after_disconnect }
            info [] { a_server_is_told_by_the_name_and_version_that_it_gives }
        }
    };
    ($scope:ident clustered $backend:ident) => {
        $crate::__tests! { $scope $backend
            server [io] { a_hostname_is_resolved }
            pushes [io] {
                keys_of_all_nodes_of_a_cluster_are_told_on_links_that_bear_different_names
            }
            recorder [] { redirects_are_recorded_by_their_operation }
            cluster [] {
                keys_are_spread_over_all_masters_and_found_from_any_of_them
                a_user_who_may_run_no_scripts_takes_timeouts_away_in_a_cluster
                a_url_of_one_server_to_a_node_of_a_cluster_says_that_it_serves_a_part_of_the_keys
                a_server_that_is_no_cluster_is_an_error_that_says_so
                all_nodes_are_told_who_we_are
                nodes_behind_a_translation_of_addresses_are_reached
                two_nodes_that_send_each_other_a_key_are_a_typed_error
                replicas_are_read_from_where_that_was_asked_for_and_masters_where_there_are_none
            }
            cluster [lifecycle] { each_node_has_a_pool_of_its_own_that_is_opened_when_it_is_needed }
            cluster [io] { a_node_of_the_url_that_is_away_is_passed_over }
            cluster [time] {
                a_slot_that_nobody_serves_is_an_error_in_time
                links_that_are_lost_and_that_nobody_misses_are_no_reason_to_ask_for_the_map
                a_map_with_a_slot_that_nobody_serves_any_more_is_read_once_more
            }
            resharding [] {
                every_operation_finds_keys_whose_slot_is_being_moved
                replicas_are_read_from_while_a_slot_is_moved
                a_node_that_is_taken_out_is_left_and_no_key_is_lost
            }
            resharding [io time] {
                callers_under_load_get_no_wrong_answer_while_slots_are_moved
                callers_under_load_survive_the_death_of_a_master
                a_cluster_whose_addresses_have_all_changed_is_found_through_the_url
                a_node_that_falls_silent_holds_up_nobody_elsewhere
            }
            resharding [lifecycle] {
                calls_under_way_on_every_node_get_their_answers_at_a_disconnect
                a_cache_that_is_disconnected_while_a_node_is_away_ends_all
            }
        }
    };
    // The Valkey that the suite runs on is built without TLS.
    ($scope:ident encrypted $backend:ident) => {
        $crate::__tests! { $scope $backend
            cluster [] { a_cluster_over_tls_is_served_by_each_nodes_own_name }
        }
    };
    ($scope:ident tcp $backend:ident) => {
        $crate::__tests! { $scope $backend
            server [io] { a_hostname_is_resolved }
            server [] { schemes_of_one_server_mean_the_same }
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
            timeouts [time] { a_key_is_gone_after_its_timeout }
            many [io] { ten_thousand_keys_are_one_call }
            numbers [tasks] { sums_of_many_tasks_lose_nothing }
            server [] { keys_on_the_server_are_byte_for_byte_what_python_writes }
            server [lifecycle] { links_bear_a_name_and_are_closed_by_disconnect }
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
                a_user_with_signs_that_urls_reserve_gets_in
                what_a_user_may_not_do_is_a_servers_error
                a_user_who_may_run_no_scripts_is_told_so_by_what_is_one
                a_user_who_may_run_no_scripts_takes_timeouts_away_by_plain_commands
                a_user_who_may_take_no_timeout_away_at_all_is_told_so_once
                a_password_is_in_no_debug_output_of_a_connected_cache
            }
            info [] { a_password_is_in_nothing_that_is_told }
            rotation [io tasks] {
                a_provider_is_asked_before_each_connection
                who_we_are_changes_on_open_links_and_no_call_is_lost
                a_cache_that_is_not_connected_learns_who_it_is_for_when_it_will_be
            }
            rotation [tasks time] {
                a_provider_that_fails_is_told_by_its_error_and_asked_again_without_a_storm
                a_provider_that_never_answers_ends_with_the_connect_timeout
            }
            rotation [] { credentials_of_the_builder_beat_those_of_the_url }
            rotation [io time] {
                a_change_that_the_server_refuses_is_a_typed_error_and_starts_no_storm
            }
        }
    };
    ($scope:ident faults $backend:ident) => {
        $crate::__tests! { $scope $backend
            clocks [time] { a_deadline_of_a_server_ends_by_a_clock_that_is_set_by_hand }
            addresses [io time] {
                an_address_that_loses_packets_gives_way_to_the_next
                an_address_that_accepts_and_never_greets_gives_way_to_the_next
                an_address_that_refuses_or_hangs_up_gives_way_to_the_next_at_once
                the_first_address_is_the_only_one_dialled_while_it_greets
                of_many_addresses_the_one_that_is_alive_is_found_within_the_connect_timeout
                a_name_is_resolved_anew_for_each_connection
                a_name_that_does_not_resolve_is_an_error_that_names_it
                a_connection_past_its_age_is_replaced_and_no_call_fails
                a_name_that_leads_elsewhere_is_followed_within_the_age_of_connections
            }
            addresses [io] { an_ip_address_is_not_resolved }
            faults [io time] {
                no_operation_outlives_its_deadline_on_a_stopped_server
                a_stopped_server_costs_one_response_timeout_and_then_nothing
                a_server_whose_dials_are_lost_costs_one_response_timeout_and_then_nothing
                a_stopped_server_does_not_keep_a_disconnect
                connecting_to_a_stopped_server_ends
                a_pool_that_starved_is_back_within_a_second
                a_link_that_the_server_closed_while_idle_fails_no_call
                a_link_that_was_killed_while_idle_is_replaced
                sums_under_killed_links_are_never_counted_twice
                sums_whose_answer_is_lost_are_never_counted_twice
                a_server_that_restarts_is_found_again
                a_cache_connects_lazily_while_its_server_is_away_and_uses_it_once_it_is_there
                a_cache_that_connects_lazily_with_a_wrong_password_says_so
                a_load_is_answered_by_its_loader_while_the_server_is_away
                there_are_never_more_links_than_maxsize
                at_least_minsize_links_are_kept
                links_are_added_while_all_are_busy
                a_link_is_opened_beside_one_that_large_values_come_over
                a_link_does_not_wait_to_fill_its_packets
            }
            faults [] {
                a_million_calls_to_a_server_that_is_away_wait_in_a_line_of_bounded_length
                a_batch_is_stored_without_a_moment_in_which_a_key_has_no_timeout
            }
            poison [io] {
                a_value_that_the_server_may_not_send_costs_two_connections_at_most
                a_value_that_the_server_does_not_read_costs_two_connections_at_most
                many_values_that_the_server_may_not_send_at_once_come_in_parts
            }
            info [io time] {
                commands_in_flight_are_told_while_a_server_is_paused
                what_a_socket_does_not_take_is_told_as_queued
                callers_that_wait_for_room_are_told
                reconnects_and_what_ended_the_last_link_are_told
                a_link_that_is_being_greeted_by_nobody_is_told_as_dialling
                a_server_that_is_away_is_told_as_hopeless_until_it_is_back
            }
            pushes [io] {
                a_key_that_was_read_and_that_somebody_else_changed_is_told_once
                all_keys_of_a_prefix_are_told_where_that_is_tracked
                pushes_among_ten_thousand_gets_shift_no_reply
                links_that_come_and_go_are_told_around_what_was_pushed
                whoever_hears_of_a_reply_has_heard_what_was_pushed_before_it
            }
            pushes [] { without_a_subscriber_no_server_is_asked_to_push }
            recorder [io] {
                commands_are_recorded_by_the_batches_that_they_left_in
                a_command_that_leaves_in_parts_is_recorded_with_the_last_of_them
                what_is_sent_again_is_recorded_by_its_operation
            }
            recorder [io time] {
                round_trips_are_recorded_with_the_time_that_they_took
                links_lost_and_opened_again_and_dials_that_failed_are_recorded
            }
            recorder [tasks] { waits_for_room_are_recorded }
            recorder [time] { timeouts_are_recorded_by_their_operation }
            outages [io time] {
                a_dial_that_nobody_answers_ends_with_the_connect_timeout
                a_lost_link_that_cannot_be_dialled_again_holds_up_nobody
                packets_lost_on_open_links_hold_up_nobody_and_other_links_are_opened
                a_link_reset_in_the_middle_of_a_reply_mixes_nothing_up
                a_paused_server_is_waited_for_and_no_longer_than_the_deadline
                a_sleeping_server_is_waited_for_and_no_longer_than_the_deadline
                a_server_that_loads_its_data_after_a_restart_is_waited_for
                a_server_that_loads_its_data_under_open_links_says_so_and_loaders_go_on
                writes_find_the_new_master_where_a_name_leads_after_a_failover
            }
            refusals [] {
                a_full_server_refuses_writes_and_reads_and_loaders_go_on
                a_replica_refuses_writes_and_reads_and_loaders_go_on
                a_server_without_replicas_refuses_writes_and_reads_and_loaders_go_on
                a_replica_that_lost_its_master_refuses_everything_and_loaders_go_on
                a_server_busy_with_a_script_says_so_and_loaders_go_on
                a_user_who_may_neither_ping_nor_name_connections_is_served
            }
        }
    };
    ($scope:ident tls $backend:ident) => {
        $crate::__tests! { $scope $backend
            tls [io] {
                a_server_of_an_unknown_authority_is_refused_and_told_no_password
                a_server_that_speaks_no_tls_is_an_error_and_told_nothing
                a_stream_cut_without_a_goodbye_is_no_end_of_a_reply
                a_corrupt_byte_in_a_record_closes_the_link_and_reaches_nobody
                values_of_any_size_cross_in_the_older_tls_too
                a_new_link_resumes_the_session_of_an_old_one
            }
            tls [] {
                a_certificate_for_another_name_is_refused_unless_that_name_is_asked_for
                a_certificate_that_has_expired_is_refused
                a_certificate_that_is_itself_in_the_file_is_accepted
                a_certificate_for_no_name_is_accepted_if_its_authority_alone_is_to_vouch_for_it
                any_certificate_is_accepted_where_that_was_asked_for_and_is_shown
                a_server_that_asks_for_a_certificate_is_shown_ours
                sentinels_and_the_master_that_they_name_are_asked_who_they_are_alike
                a_master_that_is_not_who_it_should_be_is_refused_whoever_names_it
                an_authority_in_no_file_is_an_error_before_anything_is_dialled
            }
            tls [time] { a_peer_that_stalls_in_the_handshake_is_given_up }
        }
    };
    ($scope:ident wire $backend:ident) => {
        $crate::__tests! { $scope $backend
            wire [io time] {
                a_late_reply_is_nobodys
                a_late_reply_on_a_link_that_is_kept_is_nobodys
                a_late_reply_to_a_dropped_call_is_nobodys
                a_push_before_every_reply_shifts_nothing
                replies_in_pieces_are_replies
                a_reply_that_nobody_asked_for_reaches_nobody
                a_link_cut_in_the_middle_of_a_reply_mixes_nothing_up
                a_command_that_may_have_run_is_not_sent_twice
                a_write_that_may_have_run_is_not_sent_again
                a_read_that_may_have_run_is_sent_again
                a_command_whose_answer_is_late_says_that_it_may_have_run
                a_read_that_was_lost_and_has_nowhere_to_go_says_that_it_may_have_run
                a_peer_that_vanishes_holds_up_nobody
                disconnect_lets_finish_what_is_in_flight
                disconnect_from_a_peer_that_vanished_ends
            }
            outages [io time] {
                a_corrupt_byte_around_a_value_closes_the_link_and_reaches_nobody
                a_server_without_room_for_more_clients_says_so_and_open_links_go_on
            }
        }
    };
    ($scope:ident watched $backend:ident) => {
        $crate::__tests! { $scope $backend
            recorder [io] { a_master_that_moves_and_a_sentinel_that_is_lost_are_recorded }
            sentinel [] {
                the_master_that_a_sentinel_names_is_found_and_served_from
                sentinels_and_servers_have_passwords_of_their_own
                a_service_that_no_sentinel_knows_is_an_error_that_names_it
                a_server_that_a_stale_sentinel_names_is_no_master_and_another_is_asked
                a_master_that_sentinels_name_by_an_address_of_theirs_is_reached_by_the_map
                sentinels_that_another_one_names_are_reached_by_the_map
            }
            sentinel [io] {
                sentinels_that_are_all_away_are_an_error_that_names_one
                a_write_that_a_demoted_master_refuses_is_done_by_the_next_one
            }
            sentinel [io time] {
                a_sentinel_that_is_away_or_silent_is_passed_over
                a_cache_goes_on_while_all_sentinels_are_away
                a_master_that_is_gone_and_not_replaced_holds_up_nobody
            }
            sentinel [io tasks] {
                callers_under_load_survive_the_death_of_the_master_and_of_the_sentinel_that_is_listened_to
                callers_under_load_survive_a_master_that_is_made_a_replica
            }
            sentinel [lifecycle] { a_cache_that_is_disconnected_while_failing_over_ends_all }
        }
    };
    ($scope:ident hostile $backend:ident) => {
        $crate::__tests! { $scope $backend
            addresses [io time] {
                a_server_that_hangs_up_on_hello_is_found_among_addresses_that_never_greet
            }
            hostile [io] {
                a_peer_that_accepts_and_never_greets_is_given_up
                a_peer_that_refuses_is_an_error_that_names_it
                a_host_that_does_not_exist_is_an_error_that_names_it
                sentinels_and_nodes_that_refuse_fail_at_once_whoever_has_connected_lazily
                a_malformed_reply_closes_the_link_and_reaches_nobody
                a_reply_too_many_reaches_nobody
                replies_before_any_question_reach_nobody
                a_peer_that_hangs_up_on_every_command_ends_in_an_error
            }
            hostile [] {
                nulls_of_the_older_protocol_are_nulls_in_the_newer
                a_servers_error_text_is_quoted_and_bounded
            }
            extremes [io] {
                a_greeting_without_end_is_cut_off_after_few_bytes
                what_was_not_asked_for_is_cut_off_after_few_bytes
                an_answer_that_carries_no_value_is_cut_off_after_few_bytes
                a_pool_dials_few_connections_until_one_opens
                a_pool_of_many_connections_opens_all_of_them
            }
            extremes [lifecycle] { a_url_of_extreme_numbers_is_refused_or_serves }
            redirects [io time] {
                moved_to_ever_new_addresses_opens_64_nodes_and_not_one_for_each_call
                ask_to_ever_new_addresses_opens_64_nodes_and_not_one_for_each_call
                ask_to_ever_new_addresses_that_are_silent_keeps_no_caller_busy
                a_cluster_that_grows_by_a_hundred_nodes_at_once_is_followed
                maps_of_ever_new_nodes_are_followed_at_a_bounded_pace
            }
            poison [io] {
                a_reply_that_is_none_to_its_command_is_not_asked_for_again
                a_command_that_is_answered_by_hanging_up_is_repeated_once_and_alone
                several_commands_that_are_answered_by_hanging_up_harm_no_neighbour_twice
                a_suspect_that_is_given_up_keeps_no_connection_from_others
                a_connection_that_has_answered_lengthens_no_backoff
                an_error_inside_of_a_reply_is_its_calls_and_the_connection_is_kept
                what_a_proxy_says_of_a_server_that_is_away_is_retryable
                a_connection_that_forgot_who_we_are_is_left
                many_values_of_a_peer_that_hangs_up_are_halved_and_no_more
            }
            greetings [io] {
                a_server_that_refuses_hello_in_any_words_is_spoken_to_in_resp2
                a_server_that_hangs_up_on_hello_is_spoken_to_in_resp2_at_once
                a_server_that_hangs_up_on_every_greeting_is_dialled_with_backoff
            }
            greetings [] {
                a_name_that_a_server_refuses_ends_no_connection
                the_protocol_that_is_asked_for_is_the_one_that_is_spoken
                no_part_of_a_password_is_in_what_a_cache_shows_of_a_server_that_quotes_it
            }
            info [] { servers_of_several_versions_are_told_apart }
        }
    };
    ($scope:ident options $backend:ident) => {
        $crate::__tests! { $scope $backend
            options [] {
                the_builder_beats_the_url
                the_url_speaks_where_the_builder_is_silent
                a_wrong_url_is_an_error_that_names_the_part_at_fault
                a_wrong_option_of_the_builder_is_an_error_that_names_it
                a_default_timeout_of_zero_is_an_error_wherever_it_is_given
                a_password_is_in_no_error_about_a_url
                a_url_that_asks_for_tls_is_never_spoken_in_the_clear
                options_of_tls_mean_nothing_to_a_backend_without_connections
                a_password_is_in_no_debug_output
                without_an_adapter_only_backends_in_memory_open
            }
            options [lifecycle] { a_cache_opened_without_an_adapter_works_here }
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
