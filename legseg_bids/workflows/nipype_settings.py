"""nipype's own settings, the same in the main process and in every worker.

Traps that are closed here: its parallel plug-in waits two seconds on each level of the graph,
and it writes reports that nobody reads.
"""

from __future__ import annotations

POLL_SECONDS = 0.1


def configure_nipype(verbosity: int = 0) -> None:
    """Set nipype's defaults for a run of ours; crash folders are set on each node.

    Parameters
    ----------
    verbosity : int
        How often ``-v`` was given; nipype itself speaks from 2 on.
    """
    from nipype import config, logging

    level = {0: "CRITICAL", 1: "CRITICAL", 2: "INFO"}.get(verbosity, "DEBUG")
    config.update_config(
        {
            "execution": {
                "check_version": "false",
                "crashfile_format": "txt",
                "create_report": "false",
                "poll_sleep_duration": str(POLL_SECONDS),
                "remove_unnecessary_outputs": "false",
                "write_provenance": "false",
            },
            "logging": {
                "interface_level": level,
                "log_to_file": "false",
                "utils_level": level,
                "workflow_level": level,
            },
            "monitoring": {"enabled": "false"},
        }
    )
    logging.update_logging(config)
