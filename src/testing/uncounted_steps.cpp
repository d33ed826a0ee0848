// For the processes and libraries beside the command: their steps are not the command's.
extern "C" {
__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc() {}
}
