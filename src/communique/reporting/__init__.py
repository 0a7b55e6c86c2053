"""From rows to what an operator wants to know: what happened, why, and what comes next. Reads only."""

from .stories import Body, Line, Moment, Next, Story, story

__all__ = ["Body", "Line", "Moment", "Next", "Story", "story"]
