// `serve` gives another one: only it takes answers.
window.STUDY_COLLECTS = false;
