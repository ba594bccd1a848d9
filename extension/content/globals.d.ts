// Content scripts are classic scripts, which share globals; so these types are global too.
type Analysis = import("../lib/types.js").Analysis;
type Unanswered = import("../lib/types.js").Unanswered;
type About = import("../lib/types.js").About;
type Answer = import("../lib/types.js").Answer;
type Trouble = import("../lib/types.js").Trouble;
type Snapshot = import("../lib/types.js").Snapshot;

interface Shown {
  /** True if a server is set and the user has consented. */
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
  /** By kind of problem. */
  waysOut: Record<string, string[]>;
}

interface CommentRecord {
  id: string;
  text: string;
  isReply: boolean;
  result: Analysis | Unanswered | null;
  /** Its elements on the page: YouTube renders some comments twice. */
  elements: Set<HTMLElement>;
  /** True if the user chose to see it although its label is hidden. */
  revealed: boolean;
}
