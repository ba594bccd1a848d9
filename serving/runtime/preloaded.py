"""What the workers share besides code: the fork server imports this module, and the workers are forked from it.

The model of the languages takes a second to load and 60 MB of memory, of which each process would need its own.
"""

from commentwise.comments import language

language.load()
