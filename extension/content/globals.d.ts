// Content scripts are classic scripts: what they share, they share as globals, and so do its types.
type Analysis = import("../lib/types.js").Analysis;
type Unanswered = import("../lib/types.js").Unanswered;
type About = import("../lib/types.js").About;
type Answer = import("../lib/types.js").Answer;
type Trouble = import("../lib/types.js").Trouble;
type Snapshot = import("../lib/types.js").Snapshot;

interface Shown {
  /** Whether a server is set and agreed to. */
  ready: boolean;
  youtube: boolean;
  badges: boolean;
  toolbar: boolean;
  hide: string[];
  onlyListed: boolean;
  channels: string[];
}

interface Setup {
  shown: Shown;
  language: string;
  strings: Record<string, string>;
  /** Of each kind of problem. */
  waysOut: Record<string, string[]>;
}

interface CommentRecord {
  id: string;
  text: string;
  isReply: boolean;
  result: Analysis | Unanswered | null;
  /** Where it stands on the page: YouTube renders some comments twice. */
  elements: Set<HTMLElement>;
  /** Whether the user wants to see it though its label is hidden. */
  revealed: boolean;
}
